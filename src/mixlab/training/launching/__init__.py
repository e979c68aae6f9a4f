"""Starting the ranks of one training, and hearing what became of them."""
