defmodule HelloMix.Application do
  @moduledoc false
  use Application
  require Logger

  @impl true
  def start(_type, _args) do
    Logger.info("hello_mix #{HelloMix.version()} starts")

    case HelloMix.break() do
      "boot" -> raise "told to fail at boot (HELLO_BREAK=boot)"
      "noport" -> Supervisor.start_link([], strategy: :one_for_one)
      break -> Supervisor.start_link(children(break), strategy: :one_for_one)
    end
  end

  defp children("crash"), do: [HelloMix.Server, {Task, &crash/0}]
  defp children(_break), do: [HelloMix.Server]

  defp crash do
    Process.sleep(3_000)
    Logger.error("told to crash after three seconds (HELLO_BREAK=crash)")
    Logger.flush()
    System.halt(70)
  end
end
