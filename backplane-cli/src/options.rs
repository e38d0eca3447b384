//! The command line.

use backplane::Target;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Takes part in a SignalR app from the command line.
#[derive(Debug, Parser)]
#[command(name = "backplane", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Emit(Emit),
}

/// Invoke a method of clients, on all servers of the app
///
/// The program ends when the broker has accepted the message. Servers of SignalR 2 or of ASP.NET
/// Core deliver it as well.
#[derive(Args, Debug)]
pub(crate) struct Emit {
    /// Address of the broker, such as `redis://:PASSWORD@HOST:PORT`. The environment variable keeps
    /// a password out of the list of processes
    #[arg(long, value_name = "URL", env = "BACKPLANE_URL", hide_env_values = true)]
    pub(crate) url: String,

    /// Name of the app
    #[arg(long, value_name = "NAME")]
    pub(crate) app: String,

    /// Name of the hub; with `--dialect aspnetcore` the full name of its type, such as
    /// `ChatApp.ChatHub`
    #[arg(long, value_name = "NAME")]
    pub(crate) hub: String,

    /// Servers of the app: those of SignalR 2 and ours, or those of ASP.NET Core and ours
    #[arg(long, value_enum, default_value_t = Dialect::Signalr2)]
    pub(crate) dialect: Dialect,

    /// Prefix of the channels, for `--dialect aspnetcore`
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub(crate) channel_prefix: String,

    #[command(flatten)]
    to: To,

    /// Connection that does not get the message; repeat the option for more
    #[arg(long, value_name = "ID")]
    except: Vec<String>,

    /// Method of the clients
    pub(crate) method: String,

    /// Arguments of the method, a JSON array
    #[arg(default_value = "[]")]
    pub(crate) arguments: String,
}

/// The receivers: a forgotten option must not reach all clients.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct To {
    /// Send to all clients
    #[arg(long)]
    all: bool,

    /// Send to a group; repeat the option for more
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,

    /// Send to all clients of a user; repeat the option for more
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,

    /// Send to one connection; repeat the option for more
    #[arg(long, value_name = "ID")]
    connection: Vec<String>,
}

/// The values of `--dialect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dialect {
    Signalr2,
    Aspnetcore,
}

impl Emit {
    pub(crate) fn target(&self) -> Target {
        let To { all, group, user, connection } = &self.to;
        let target = match (all, &group[..], &user[..]) {
            (true, ..) => Target::all(),
            (false, [_, ..], _) => Target::groups(group),
            (false, [], [_, ..]) => Target::users(user),
            (false, [], []) => Target::connections(connection),
        };
        target.except(&self.except)
    }
}
