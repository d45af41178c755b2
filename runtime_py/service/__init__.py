"""Services around a parser: HTTP with JSON, and Wyoming; they run on a board, without PyTorch."""
