"""Where functions are called: on the event loop, in threads, in processes."""
