"""The review of a version: a page with its evidence (`document`), and text for a pull request (`pull`)."""
