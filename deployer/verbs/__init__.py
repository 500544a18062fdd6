"""What the commands do: one module for each group of tasks, over one `Run`.

This is where rooms meet: config, artifact, engine, outputs. Each verb returns its exit status.
"""
