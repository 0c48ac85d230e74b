"""Other people's environments as worlds of powerseek, through its adapter."""
