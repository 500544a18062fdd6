import Config

# Below systemd the journal has the time already; with colours it would be full of escape sequences.
config :logger, :console, format: "[$level] $message\n", colors: [enabled: false]
