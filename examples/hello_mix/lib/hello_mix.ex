defmodule HelloMix do
  @moduledoc "What the app knows of itself."

  def version, do: to_string(Application.spec(:hello_mix, :vsn))

  def port, do: Application.get_env(:hello_mix, :port, 4000)
  def greeting, do: Application.get_env(:hello_mix, :greeting, "Hello from Elixir")

  @doc "How this app is to fail, to see a deploy deal with it. See the README."
  def break, do: Application.get_env(:hello_mix, :break, "")
end
