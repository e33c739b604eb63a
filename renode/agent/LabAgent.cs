// SPDX-License-Identifier: Apache-2.0
//
// The lab's end inside Renode: carries UARTs to it and, where the lab has no other way, runs monitor commands for it.
//
// It connects out to a port that the lab has bound on the loopback interface before it started Renode, and shows the
// token that only the two of them know. Renode's own servers listen on every interface, know no token, and a port for
// them has to be guessed.
//
// Where Renode is loaded into a process of the lab's (lab/engines/_renode_worker.py), what is public here is called from
// there, and no LabAgent runs.
//
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Text;
using System.Threading;
using Antmicro.Migrant;
using Antmicro.Renode.Backends.Terminals;
using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Peripherals.UART;
using Antmicro.Renode.RobotFramework;
using Antmicro.Renode.UserInterface;
using Antmicro.Renode.Utilities;
using Monitor = Antmicro.Renode.UserInterface.Monitor;

namespace Antmicro.Renode.Lab
{
    public static class LabAgentExtensions
    {
        /// <summary>
        /// Serves the lab that listens on <paramref name="port"/>. Does not return: when the lab hangs up, Renode ends.
        /// </summary>
        public static void ConnectLab(this Emulation emulation, int port, string token)
        {
            emulation.SetLab(port, token);
            new LabAgent(Connection.Open("control")).Run();
        }

        /// <summary>Says where the lab listens for streams.</summary>
        public static void SetLab(this Emulation emulation, int port, string token)
        {
            Connection.Port = port;
            Connection.Token = token;
        }

        /// <summary>Makes a terminal called <paramref name="name"/> whose bytes come from and go to the lab.</summary>
        public static void CreateLabTerminal(this Emulation emulation, string name)
        {
            var terminal = new LabTerminal(name);
            terminal.Connect();
            emulation.ExternalsManager.AddExternal(terminal, name);
        }

        /// <summary>Lets a machine run from the end of this request on.</summary>
        public static void StartLabMachine(this Emulation emulation, string name)
        {
            Find(emulation, name);
            LabClocks.Running.Add(name);
        }

        /// <summary>
        /// Halts or releases a machine's processors, as a debugger does: its timers go on. A machine that is paused
        /// in Renode's own way stops the time that all machines share.
        /// </summary>
        public static void HaltLabMachine(this Emulation emulation, string name, bool halted)
        {
            foreach(var cpu in Find(emulation, name).SystemBus.GetCPUs())
            {
                cpu.IsHalted = halted;
            }
        }

        /// <summary>
        /// Keeps all clocks stopped from this request on, until <see cref="ReleaseLab"/> has been asked for as often. A
        /// halted processor would not do: its time goes on, and the faster the less else there is to do.
        /// </summary>
        public static void HoldLab(this Emulation emulation)
        {
            LabClocks.Holders++;
        }

        /// <summary>Lets the clocks go on from the end of this request on.</summary>
        public static void ReleaseLab(this Emulation emulation)
        {
            LabClocks.Holders--;
        }

        /// <summary>Writes all machines of the process to a file; their clocks have been stopped.</summary>
        public static void SaveLab(this Emulation emulation, string path)
        {
            EmulationManager.Instance.Save(path);
        }

        /// <summary>
        /// Has one machine of those that <see cref="SaveLab"/> wrote, with its streams, in the place of all there are. The
        /// clocks have been stopped, and stay so until <see cref="ReleaseLab"/>; the machine then runs.
        /// </summary>
        /// <remarks>
        /// The others are removed before time passes: one that does not run would stop the clock that they share. Who
        /// listens to a machine's reset is not in the file.
        /// </remarks>
        public static void LoadLab(this Emulation emulation, string path, string name, string streams)
        {
            EmulationManager.Instance.Load(path);
            var loaded = EmulationManager.Instance.CurrentEmulation;
            var kept = streams.Split(' ');
            foreach(var other in loaded.Names.Where(each => each != name).ToArray())
            {
                loaded.RemoveMachine(other);
            }
            foreach(var stream in loaded.ExternalsManager.Externals.OfType<ILabStream>().ToArray())
            {
                string called;
                if(loaded.ExternalsManager.TryGetName(stream, out called) && kept.Contains(called))
                {
                    stream.Connect();
                }
                else
                {
                    loaded.ExternalsManager.RemoveExternal(stream);
                }
            }
            var monitor = ObjectCreator.Instance.GetSurrogate<Monitor>();
            typeof(Monitor).GetMethod("RegisterResetCommand", BindingFlags.Instance | BindingFlags.NonPublic)
                .Invoke(monitor, new object[] { loaded[name] });
            LabClocks.Running.Add(name);
            LabClocks.Holders++;
        }

        /// <summary>Hangs up and forgets a stream: a terminal, or the parts of a machine.</summary>
        public static void RemoveLabStream(this Emulation emulation, string name)
        {
            IExternal stream;
            if(!emulation.ExternalsManager.TryGetByName(name, out stream) || !(stream is ILabStream))
            {
                throw new RecoverableException(String.Format("There is no lab stream {0}", name));
            }
            emulation.ExternalsManager.RemoveExternal(stream);
            ((ILabStream)stream).Dispose();
        }

        internal static IMachine Find(Emulation emulation, string name)
        {
            IMachine machine;
            if(!emulation.TryGetMachineByName(name, out machine))
            {
                throw new RecoverableException(String.Format("There is no machine {0}", name));
            }
            return machine;
        }
    }

    /// <summary>One end of a stream whose other end is in the lab.</summary>
    public interface ILabStream : IExternal, IDisposable
    {
        /// <summary>Connects to the lab: once it is made, and again when it comes from a file.</summary>
        void Connect();
    }

    internal static class Connection
    {
        /// <summary>Connects to the lab and says what the connection is for: one line, the token and a name.</summary>
        public static NetworkStream Open(string name)
        {
            var client = new TcpClient { NoDelay = true };
            client.Connect(IPAddress.Loopback, Port);
            var stream = client.GetStream();
            var hello = Encoding.UTF8.GetBytes(Token + " " + name + "\n");
            stream.Write(hello, 0, hello.Length);
            return stream;
        }

        public static int Port;
        public static string Token;
    }

    /// <summary>
    /// Answers requests one by one. Request: its kind, machine and command; answer: a byte that is 1 if it was done, and
    /// what the monitor said. Each text is UTF-8 behind its length, 4 bytes, little endian. A request to Robot's keywords
    /// has no machine, its command is the body of an XML-RPC request, and what is said the body of the response.
    /// </summary>
    internal class LabAgent
    {
        public LabAgent(Stream stream)
        {
            reader = new BinaryReader(stream);
            writer = new BinaryWriter(stream);
            monitor = ObjectCreator.Instance.GetSurrogate<Monitor>();
        }

        public void Run()
        {
            try
            {
                while(true)
                {
                    var kind = (Kind)reader.ReadByte();
                    var machine = ReadText();
                    var command = ReadText();
                    string said;
                    if(kind == Kind.Still)
                    {
                        LabClocks.Stop();
                    }
                    var done = kind == Kind.Keyword ? Call(command, out said) : Execute(machine, command, out said);
                    if(kind == Kind.Still)
                    {
                        LabClocks.Start();
                    }
                    var text = Encoding.UTF8.GetBytes(said);
                    writer.Write(done);
                    writer.Write(text.Length);
                    writer.Write(text);
                    writer.Flush();
                }
            }
            catch(IOException)
            {
                // The lab is gone, however it ended; nobody is left to stop this process.
                Process.GetCurrentProcess().Kill();
            }
        }

        private bool Execute(string machine, string command, out string said)
        {
            var interaction = new CommandInteractionEater();
            var previous = monitor.Interaction;
            monitor.Interaction = interaction;
            try
            {
                monitor.Machine = machine == "" ? null : LabAgentExtensions.Find(EmulationManager.Instance.CurrentEmulation, machine);
                var parsed = monitor.Parse(command, interaction);
                var error = interaction.GetError();
                said = error != "" ? error : interaction.GetContents();
                return parsed && error == "";
            }
            catch(Exception e)
            {
                said = e.Message;
                return false;
            }
            finally
            {
                monitor.Interaction = previous;
            }
        }

        private static bool Call(string request, out string response)
        {
            try
            {
                response = LabKeywords.Call(request);
                return true;
            }
            catch(Exception e)
            {
                response = (e.InnerException ?? e).Message;
                return false;
            }
        }

        private string ReadText()
        {
            var length = reader.ReadInt32();
            var bytes = reader.ReadBytes(length);
            if(bytes.Length < length)
            {
                throw new EndOfStreamException();
            }
            return Encoding.UTF8.GetString(bytes);
        }

        private readonly BinaryReader reader;
        private readonly BinaryWriter writer;
        private readonly Monitor monitor;

        private enum Kind : byte
        {
            Command,
            Still,
            Keyword,
        }
    }

    /// <summary>The clocks of all machines, which share their virtual time.</summary>
    public static class LabClocks
    {
        /// <summary>
        /// Stops them all. While they hand out quanta they keep their lock, and a machine that is made never gets it.
        /// </summary>
        /// <remarks>
        /// They stop where all show the same time. Amid a quantum some would be ahead of others: were one of those
        /// behind then removed, Renode would go on from a time that it takes for the future, and end.
        /// </remarks>
        public static void Stop()
        {
            var emulation = EmulationManager.Instance.CurrentEmulation;
            if(going)
            {
                var source = emulation.MasterTimeSource;
                var reached = new ManualResetEventSlim();
                var late = false;
                source.ExecuteInNearestSyncedState(_ =>
                {
                    if(!late)
                    {
                        source.Stop();
                        reached.Set();
                    }
                });
                // A machine that somebody has paused in Renode's own way stops the clocks before they get there.
                late = !reached.Wait(Patience);
            }
            going = false;
            emulation.PauseAll();
        }

        /// <summary>As Emulation.StartAll, but for the machines that are meant to run.</summary>
        public static void Start()
        {
            if(Holders > 0)
            {
                return;
            }
            var emulation = EmulationManager.Instance.CurrentEmulation;
            Running.RemoveWhere(name => !emulation.Names.Contains(name));
            foreach(var name in Running)
            {
                emulation[name].Start();
            }
            emulation.MasterTimeSource.Start();
            going = true;
        }

        /// <summary>The machines that run whenever the clocks do.</summary>
        internal static readonly HashSet<string> Running = new HashSet<string>();

        /// <summary>How many have asked that the clocks stand still.</summary>
        internal static int Holders;

        private static bool going;

        // ms; a busy host takes its time for a quantum of several machines.
        private const int Patience = 10000;
    }

    /// <summary>
    /// Renode's Robot keywords. Its own server for them listens on every interface and lets anybody in, so it is not
    /// started: only its processor of requests is used, which Renode does not show.
    /// </summary>
    public static class LabKeywords
    {
        /// <summary>Answers the body of an XML-RPC request with the body of its response.</summary>
        public static string Call(string request)
        {
            if(keywords == null)
            {
                var server = Hidden(new RobotFrameworkEngine(), "server");
                keywords = server.GetType().GetProperty("Processor").GetValue(server);
                invoke = keywords.GetType().GetMethod("Invoke", new[] { typeof(Stream) });
            }
            var body = new MemoryStream(Encoding.UTF8.GetBytes(request));
            var response = (Stream)invoke.Invoke(keywords, new object[] { body });
            return new StreamReader(response, Encoding.UTF8).ReadToEnd();
        }

        private static object Hidden(object of, string name)
        {
            return of.GetType().GetField(name, BindingFlags.Instance | BindingFlags.NonPublic).GetValue(of);
        }

        private static object keywords;
        private static MethodInfo invoke;
    }

    /// <summary>A UART's other end in the lab. Bytes wait in memory for a slow reader: the clock never waits for it.</summary>
    public class LabTerminal : BackendTerminal, ILabStream
    {
        public LabTerminal(string name)
        {
            this.name = name;
        }

        public void Connect()
        {
            stream = Connection.Open(name);
            outgoing = new BlockingCollection<byte>();
            if(uart != null)
            {
                // Most UARTs do not save who listens to them, some do.
                uart.CharReceived -= WriteChar;
                uart.CharReceived += WriteChar;
            }
            new Thread(Receive) { IsBackground = true, Name = "Lab terminal, to the UART" }.Start();
            new Thread(Send) { IsBackground = true, Name = "Lab terminal, from the UART" }.Start();
        }

        public override void AttachTo(IUART uart)
        {
            base.AttachTo(uart);
            this.uart = uart;
        }

        public override void DetachFrom(IUART uart)
        {
            base.DetachFrom(uart);
            this.uart = null;
        }

        public override void WriteChar(byte value)
        {
            outgoing.TryAdd(value);
        }

        public void Dispose()
        {
            outgoing.CompleteAdding();
        }

        private void Receive()
        {
            var buffer = new byte[4096];
            try
            {
                int count;
                while((count = stream.Read(buffer, 0, buffer.Length)) > 0)
                {
                    for(var i = 0; i < count; i++)
                    {
                        CallCharReceived(buffer[i]);
                    }
                }
            }
            catch(IOException)
            {
            }
            catch(ObjectDisposedException)
            {
            }
        }

        private void Send()
        {
            var buffer = new byte[4096];
            try
            {
                byte value;
                while(outgoing.TryTake(out value, Timeout.Infinite))
                {
                    var count = 0;
                    do
                    {
                        buffer[count++] = value;
                    }
                    while(count < buffer.Length && outgoing.TryTake(out value));
                    stream.Write(buffer, 0, count);
                }
            }
            catch(IOException)
            {
            }
            stream.Dispose();
        }

        private IUART uart;

        private readonly string name;

        [Transient]
        private Stream stream;
        [Transient]
        private BlockingCollection<byte> outgoing;
    }
}
