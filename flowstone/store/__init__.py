"""Where it is recorded what was made, from what, by which code: Postgres, and a twin in memory."""
