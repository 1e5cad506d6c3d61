//! The command line: which commands there are, and what each takes.

use std::{
    ffi::OsString,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command as ClapCommand, FromArgMatches, Parser, Subcommand,
    ValueEnum, ValueHint,
    builder::{PossibleValuesParser, TypedValueParser},
    parser::ValueSource,
};

use plastron_svid::{MAX_LEEWAY, PeerRole};

use crate::{
    commands::{api, svid},
    config::{Given, KEYS, Place},
    report::{Failure, Format},
};

/// Gives every process on this machine the identity that is its own: SPIFFE, over the Workload API.
#[derive(Debug, Parser)]
#[command(
    name = "plastron-agent",
    version,
    after_help = "Exit codes: 0 yes, 1 no (refused, invalid, unhealthy, a broken configuration), 2 could not tell (usage, \
                  file, no agent).",
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// For whom to print: people, or programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the agent
    Run(Run),
    /// Say what is wrong or odd in a configuration, without running it
    Check(Check),
    /// Ask whether the agent serves
    Healthcheck {
        /// Also say what is wrong though it serves, and what the agent cannot see here; root and the agent's user may ask that
        #[arg(long)]
        verbose: bool,
        #[command(flatten)]
        agent: Agent,
    },
    /// Ask the Workload API, as a workload does
    #[command(subcommand)]
    Api(Api),
    /// Show trust bundles
    #[command(subcommand)]
    Bundle(Bundle),
    /// Manage the signing keys
    #[command(subcommand)]
    Authority(Authority),
    /// Look at SVIDs in files
    #[command(subcommand)]
    Svid(Svid),
    /// Say which identities a process gets, and why not others
    Explain(Explain),
    /// Manage registration entries
    #[command(subcommand)]
    Entry(Entry),
    /// Look at audit files
    #[command(subcommand)]
    Audit(Audit),
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    Man {
        /// The folder
        #[arg(value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

/// Where the agent is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Agent {
    /// The agent's socket, a path or a URI [default: $SPIFFE_ENDPOINT_SOCKET, or where agents listen by default]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<String>,
    /// How long to wait for an answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

/// `run`
#[derive(Args, Debug)]
#[command(
    group = clap::ArgGroup::new("source").required(true).args(["dev", "config"]),
    after_help = "Every key of the file that is not in [[entry]] or [[bundle]] has a flag and an environment variable, which \
                  go before the file. `--help` lists them."
)]
pub(crate) struct Run {
    /// On defaults, for you alone: trust domain example.org, everything in a private temporary folder
    #[arg(long)]
    pub(crate) dev: bool,
    /// The configuration
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `check`
#[derive(Args, Debug)]
pub(crate) struct Check {
    /// The configuration
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `api`
#[derive(Debug, Subcommand)]
pub(crate) enum Api {
    /// Fetch SVIDs or bundles once
    Fetch {
        /// What to fetch
        #[arg(value_enum, default_value_t = Kind::X509)]
        kind: Kind,
        /// For whom a JWT-SVID is meant; may be repeated
        #[arg(long, value_name = "AUDIENCE", required_if_eq("kind", "jwt"))]
        audience: Vec<String>,
        /// Only the JWT-SVID of this SPIFFE ID
        #[arg(long, value_name = "ID")]
        spiffe_id: Option<String>,
        /// Also write files into this folder: svid.N.pem, svid.N.key, bundle.N.pem
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        write: Option<PathBuf>,
        #[command(flatten)]
        agent: Agent,
    },
    /// Have a token validated
    #[command(subcommand)]
    Validate(Validate),
    /// Print SVIDs or bundles whenever they change, until it is interrupted
    Watch {
        /// What to watch
        #[arg(default_value = "x509", value_parser = watchable())]
        kind: Kind,
        #[command(flatten)]
        agent: Agent,
    },
}

/// What the Workload API gives.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Kind {
    /// X.509-SVIDs with their keys and bundles
    X509,
    /// JWT-SVIDs
    Jwt,
    /// X.509 bundles
    Bundles,
    /// JWT bundles
    JwtBundles,
}

/// JWT-SVIDs are asked for, not watched.
fn watchable() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(["x509", "bundles", "jwt-bundles"])
        .map(|name| Kind::from_str(&name, false).expect("the parser lets in names of kinds alone"))
}

/// `api validate`
#[derive(Debug, Subcommand)]
pub(crate) enum Validate {
    /// A JWT-SVID
    Jwt {
        /// For whom it has to be meant
        #[arg(long, value_name = "AUDIENCE")]
        audience: String,
        /// The token, or - to read it from the standard input, where other users do not see it
        token: String,
        #[command(flatten)]
        agent: Agent,
    },
}

/// `bundle`
#[derive(Debug, Subcommand)]
pub(crate) enum Bundle {
    /// Print the bundle of a trust domain, as the running agent has it
    Show {
        /// How it is written
        #[arg(long, value_enum, default_value_t = BundleFormat::Pem)]
        format: BundleFormat,
        /// Another trust domain than the agent's own
        #[arg(long, value_name = "NAME")]
        trust_domain: Option<String>,
        #[command(flatten)]
        agent: Agent,
    },
}

/// How a bundle is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum BundleFormat {
    /// The X.509 authorities alone
    Pem,
    /// The SPIFFE bundle document
    Spiffe,
    /// The JWT authorities alone, as a JWK Set
    Jwks,
}

/// `authority`
#[derive(Debug, Subcommand)]
pub(crate) enum Authority {
    /// Replace the signing keys now: prepare, publish, activate
    Rotate {
        /// Which keys
        #[arg(long, value_enum, default_value_t = AuthorityKind::All)]
        kind: AuthorityKind,
        /// The agent's socket, a path or a URI [default: $SPIFFE_ENDPOINT_SOCKET, or where agents listen by default]
        #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
        socket: Option<String>,
        /// How long to wait for an answer
        #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
        timeout: Duration,
    },
}

/// Which signing keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum AuthorityKind {
    /// All of them
    All,
    /// The one that signs X.509-SVIDs
    X509,
    /// The one that signs JWT-SVIDs
    Jwt,
    /// The one that signs WIT-SVIDs, where that profile is on
    #[cfg(feature = "wit")]
    Wit,
}

/// `svid`
#[derive(Debug, Subcommand)]
pub(crate) enum Svid {
    /// Show what is in files: certificates (PEM or DER), and tokens
    Show {
        /// The files; - is the standard input
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
    },
    /// Say whether a file holds an X.509-SVID with its intermediates, or a JWT-SVID, that is valid
    Verify(Verify),
}

/// `svid verify`
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// A bundle of a trust domain: a bundle document, PEM or DER; may be repeated, and files of one trust domain are joined
    #[arg(long, required = true, value_name = "TD=FILE")]
    pub(crate) bundle: Vec<String>,
    /// What the holder of an X.509-SVID is in the conversation [default: either, so that extended key usage must allow both]
    #[arg(long, value_enum, value_name = "ROLE")]
    pub(crate) peer: Option<Peer>,
    /// The moment to judge for: RFC 3339, or seconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) at: Option<SystemTime>,
    /// For whom a JWT-SVID has to be meant; may be repeated, and one of them is enough
    #[arg(long, value_name = "AUDIENCE")]
    pub(crate) audience: Vec<String>,
    /// How far clocks may differ where a JWT-SVID is judged, at most 2m
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = leeway)]
    pub(crate) leeway: Duration,
    /// The SVID: PEM, DER or a token; - is the standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// What a peer is in the conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Peer {
    /// It answers
    Server,
    /// It asks
    Client,
}

impl From<Peer> for PeerRole {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Server => Self::Server,
            Peer::Client => Self::Client,
        }
    }
}

/// `explain`
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// The process
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) pid: i32,
    /// Judge by this configuration, without a running agent
    #[arg(long, value_name = "FILE", conflicts_with = "socket", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

/// `entry`
#[derive(Debug, Subcommand)]
pub(crate) enum Entry {
    /// Turn what `spire-server entry show -output json` prints into entries for the configuration
    Import {
        /// What it printed; - is the standard input
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// `audit`
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Say whether records were changed, taken out, put in another order or cut
    Verify {
        /// The files, rotated ones too, in any order
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// Trust heads of this public key alone (PEM)
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        key: Option<PathBuf>,
        /// Ask for the head that this file names, as the agent keeps it in its data_dir
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        head: Option<PathBuf>,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::duration(text).map_err(|wrong| wrong.to_string())
}

fn leeway(text: &str) -> Result<Duration, String> {
    let leeway = duration(text)?;
    if leeway > MAX_LEEWAY {
        return Err("more than two minutes would let old tokens live on".to_owned());
    }
    Ok(leeway)
}

fn moment(text: &str) -> Result<SystemTime, String> {
    crate::config::moment(text).map_err(|wrong| wrong.to_string())
}

/// A flag and an environment variable for each key of the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingFlags(pub(crate) Vec<Given>);

impl Args for SettingFlags {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        let flags = KEYS.iter().map(|key| {
            let variable = key.variable();
            Arg::new(key.name)
                .long(key.flag())
                .env(variable.clone())
                .hide_env(true)
                .value_name(key.value)
                .help(key.help)
                .long_help(format!(
                    "{}. {} in the file, {variable} in the environment",
                    key.help, key.name
                ))
                .help_heading("Settings that go before the file")
                .hide_short_help(!matches!(
                    key.name,
                    "workload_api.socket" | "log.level" | "log.format"
                ))
                .allow_hyphen_values(false)
                .action(ArgAction::Set)
        });
        command.args(flags)
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = KEYS
            .iter()
            .filter_map(|key| {
                let text = matches.get_one::<String>(key.name)?.clone();
                let place = match matches.value_source(key.name) {
                    Some(ValueSource::EnvVariable) => Place::Variable(key.variable()),
                    _ => Place::Flag(format!("--{}", key.flag())),
                };
                Some(Given { key, text, place })
            })
            .collect();
        Ok(())
    }
}

impl Cli {
    /// Reads the arguments.
    ///
    /// Ends the program after `--help`, and when they are wrong and people read the answer.
    pub(crate) fn of(arguments: Vec<OsString>) -> Result<Self, Failure> {
        Self::try_parse_from(&arguments).map_err(|error| {
            if !error.use_stderr() || !is_for_programs(&arguments) {
                error.exit();
            }
            usage(&error, &arguments)
        })
    }
}

/// Whether programs read the answer, as far as arguments tell that cannot all be understood.
fn is_for_programs(arguments: &[OsString]) -> bool {
    let next = arguments.iter().skip(1);
    arguments.iter().any(|argument| argument == "--output=json")
        || arguments
            .iter()
            .zip(next)
            .any(|(argument, value)| argument == "--output" && value == "json")
}

/// What was wrong with the arguments, without the colours and the usage that follow.
fn usage(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let failure = Failure::cannot_tell(message).hint("see --help");
    let is = |command: [&str; 2]| {
        let mut words = arguments.iter();
        command.iter().all(|name| words.any(|word| word == name))
    };
    if is(["svid", "verify"]) {
        failure.members(svid::unjudged(None))
    } else if is(["api", "validate"]) {
        failure.members(api::unjudged())
    } else {
        failure
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_commands_that_scripts_hold_on_to_are_there() {
        for line in [
            "plastron-agent run --dev",
            "plastron-agent run --dev --socket /run/a.sock",
            "plastron-agent run --config a.toml",
            "plastron-agent check --config a.toml",
            "plastron-agent healthcheck",
            "plastron-agent healthcheck --socket /run/a.sock",
            "plastron-agent api fetch",
            "plastron-agent api fetch x509 --write dir",
            "plastron-agent api fetch jwt --audience a --audience b --socket unix:///run/a.sock",
            "plastron-agent api fetch bundles --output json",
            "plastron-agent api fetch jwt-bundles",
            "plastron-agent api validate jwt --audience a TOKEN",
            "plastron-agent api watch --socket /run/a.sock",
            "plastron-agent --output json api watch",
            "plastron-agent bundle show",
            "plastron-agent bundle show --format pem",
            "plastron-agent bundle show --format spiffe",
            "plastron-agent bundle show --format jwks",
            "plastron-agent authority rotate",
            "plastron-agent svid show a.pem b.pem",
            "plastron-agent svid verify --bundle td=a.pem --bundle other=b.json svid.pem",
            "plastron-agent svid verify --bundle td=a.pem --peer client --at 2030-01-31T12:00:00.5Z svid.pem",
            "plastron-agent svid verify --bundle td=a.pem --at 1893456000 --audience a --audience b --leeway 30s token",
            "plastron-agent explain --pid 7",
            "plastron-agent explain --pid 7 --socket /run/a.sock",
            "plastron-agent explain --pid 7 --config a.toml",
            "plastron-agent entry import entries.json",
            "plastron-agent audit verify a.jsonl a.jsonl.1",
            "plastron-agent completions zsh",
            "plastron-agent man dir",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn every_key_has_a_flag_that_says_where_it_comes_from() {
        for key in KEYS {
            let cli = parse(&format!(
                "plastron-agent run --config a.toml --{} x",
                key.flag()
            ));
            let Ok(Cli {
                command: Command::Run(run),
                ..
            }) = cli
            else {
                panic!("{}", key.name)
            };
            let [given] = run.settings.0.as_slice() else {
                panic!("{}: {:?}", key.name, run.settings)
            };
            assert_eq!((given.key.name, given.text.as_str()), (key.name, "x"));
            assert_eq!(given.place, Place::Flag(format!("--{}", key.flag())));
        }
    }
}
