"""What a user may write and what enters a key."""
