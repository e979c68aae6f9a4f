"""Tokenizers and token stores: from records to ids."""
