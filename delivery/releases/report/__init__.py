"""What a reviewer reads before a version gets anywhere: a page (`document`), and lines for a pull request (`pull`)."""
