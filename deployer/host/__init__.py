"""What runs on a host and what it says: the shell programs (`sh/`), how they are put together, and their replies."""
