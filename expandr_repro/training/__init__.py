"""What both trainings share."""
