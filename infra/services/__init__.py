"""What the containers of infra/compose.yaml run once, and settings of theirs that hold no secret."""
