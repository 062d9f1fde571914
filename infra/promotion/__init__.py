"""Checks whether an environment may serve its releases: the rules, the approvals, and the facts about deployed releases."""
