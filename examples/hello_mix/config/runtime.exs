import Config

# Read when the release starts, on the host: this is what the environment file is for.
if config_env() == :prod do
  config :hello_mix,
    port: String.to_integer(System.get_env("PORT", "4000")),
    greeting: System.get_env("GREETING", "Hello from Elixir"),
    break: System.get_env("HELLO_BREAK", "")
end
