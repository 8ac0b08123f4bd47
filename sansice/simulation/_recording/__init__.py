"""What a machine was told and what it answered, written down and fed to it again."""
