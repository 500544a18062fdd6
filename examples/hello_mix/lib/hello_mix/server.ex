defmodule HelloMix.Server do
  @moduledoc """
  A web server in one page: `GET /health` answers `ok VERSION`, `GET /` the greeting.

  Enough to be deployed and asked for its health; no model for a web server.
  """

  use GenServer
  require Logger

  def start_link(_options),
    do: GenServer.start_link(__MODULE__, HelloMix.port(), name: __MODULE__)

  @impl true
  def init(port) do
    # Asked to stop, it says so.
    Process.flag(:trap_exit, true)
    options = [:binary, packet: :http_bin, active: false, reuseaddr: true, backlog: 128]

    case :gen_tcp.listen(port, options) do
      {:ok, listener} ->
        {:ok, actual} = :inet.port(listener)
        Logger.info("listening on port #{actual}")
        spawn_link(fn -> accept(listener) end)
        {:ok, listener}

      {:error, reason} ->
        Logger.error("cannot listen on port #{port}: #{:inet.format_error(reason)}")
        {:stop, reason}
    end
  end

  @impl true
  def handle_info({:EXIT, _pid, reason}, listener), do: {:stop, reason, listener}

  @impl true
  def terminate(reason, _listener) do
    Logger.info("hello_mix #{HelloMix.version()} stops: #{inspect(reason)}")
  end

  defp accept(listener) do
    {:ok, socket} = :gen_tcp.accept(listener)
    server = spawn(fn -> receive do: (:go -> serve(socket)) end)
    # The owner of a socket alone may close it by its own end.
    _ = :gen_tcp.controlling_process(socket, server)
    send(server, :go)
    accept(listener)
  end

  defp serve(socket) do
    with {:ok, {:http_request, method, {:abs_path, path}, _version}} <-
           :gen_tcp.recv(socket, 0, 10_000),
         :ok <- skip_headers(socket) do
      if HelloMix.break() == "hang", do: Process.sleep(:infinity)
      {status, body} = answer(method, path)
      Logger.info("#{method} #{inspect(path)} #{status}")
      :gen_tcp.send(socket, response(status, body))
    end

    :gen_tcp.close(socket)
  end

  defp skip_headers(socket) do
    case :gen_tcp.recv(socket, 0, 10_000) do
      {:ok, :http_eoh} -> :ok
      {:ok, _header} -> skip_headers(socket)
      {:error, _reason} = error -> error
    end
  end

  defp answer(:GET, "/health") do
    if HelloMix.break() == "health500",
      do: {500, "told to be ill (HELLO_BREAK=health500)\n"},
      else: {200, "ok #{HelloMix.version()}\n"}
  end

  defp answer(:GET, "/"), do: {200, "#{HelloMix.greeting()} (#{HelloMix.version()})\n"}
  defp answer(_method, _path), do: {404, "not here\n"}

  defp response(status, body) do
    reason = %{200 => "OK", 404 => "Not Found", 500 => "Internal Server Error"}[status]

    "HTTP/1.1 #{status} #{reason}\r\ncontent-type: text/plain; charset=utf-8\r\n" <>
      "content-length: #{byte_size(body)}\r\nconnection: close\r\n\r\n" <> body
  end
end
