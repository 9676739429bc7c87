"""What makes the same networks faster."""
