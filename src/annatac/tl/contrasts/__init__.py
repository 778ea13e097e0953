"""What differs between conditions, with samples as replicates."""
