"""What others send, mangled: targets, their corpus, and the program that looks for more (`make fuzz`)."""
