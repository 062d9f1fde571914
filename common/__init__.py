"""Errors, names, paths, files, progress and the clock: used by all other packages. This package imports none of them."""
