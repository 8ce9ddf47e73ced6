"""Where the functions of assets are called: on the event loop, in threads, in processes."""
