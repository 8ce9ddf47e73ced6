"""What the command line and notebooks tell a person, in the same words."""
