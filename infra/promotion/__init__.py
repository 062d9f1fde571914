"""The requirements of each environment for the releases that it serves, and the facts about deployed releases."""
