defmodule HelloMix.MixProject do
  use Mix.Project

  def project do
    [
      app: :hello_mix,
      # HELLO_VSN makes other versions of the same source, so that there is something to deploy.
      version: System.get_env("HELLO_VSN") || "0.1.0",
      elixir: "~> 1.12",
      start_permanent: Mix.env() == :prod,
      deps: [],
      # mix does not notice another HELLO_VSN by itself.
      aliases: [release: ["compile --force", "release"]],
      releases: [hello_mix: [include_executables_for: [:unix], steps: [:assemble, :tar]]]
    ]
  end

  def application do
    [extra_applications: [:logger], mod: {HelloMix.Application, []}]
  end
end
