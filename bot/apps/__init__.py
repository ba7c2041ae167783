"""What can be run without asking anybody else: for now the welcome demo that Hercules makes itself."""
