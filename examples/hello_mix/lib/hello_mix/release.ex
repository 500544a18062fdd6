defmodule HelloMix.Release do
  @moduledoc "One-off commands of a release, run before it is started: `bin/hello_mix eval 'HelloMix.Release.migrate()'`."

  def migrate do
    :ok = Application.load(:hello_mix)
    IO.puts("migrating to #{HelloMix.version()}")

    if System.get_env("HELLO_BREAK") == "migrate",
      do: raise("told to fail in the migration (HELLO_BREAK=migrate)")

    IO.puts("migrated")
  end
end
