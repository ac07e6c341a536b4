//! Every setting, in one place: what may be given, where it may be given, and what it comes to.
//!
//! A setting has one name: `--data-dir` as a flag, `PILOTHOUSE_DATA_DIR` in the environment,
//! `data_dir` in the file. Flags win over the environment, the environment over the file. What is
//! unknown or senseless is refused at start, by name: a misspelt setting that is silently ignored
//! is found out at night.

pub mod file;
pub mod policy;
pub mod public_url;
pub mod reference;
pub mod values;

use domain::{name::Name, outgoing::Exception};
use policy::PolicyChanges;
use public_url::PublicUrl;
use serde::Deserialize;
use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};
use values::{AddressPool, LogFormat, Span};

/// What may be given. Everything is optional here; [`Settings::from_given`] fills in the rest.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Settings")]
pub struct Given {
    /// Where everything is kept: the private database, the node's id, the first-admin link. Only one
    /// server may use it at a time. Default: /var/lib/pilothouse for root, else
    /// ~/.local/share/pilothouse.
    #[arg(long, env = "PILOTHOUSE_DATA_DIR", value_name = "DIR", global = true)]
    pub data_dir: Option<PathBuf>,

    /// The address of the console. Plain HTTP: any other than a loopback address needs
    /// `trusted_proxy` and `public_url` too. Default: 127.0.0.1:7300.
    #[arg(long, env = "PILOTHOUSE_LISTEN", value_name = "ADDRESS:PORT", global = true)]
    pub listen: Option<SocketAddr>,

    /// The address by which people reach the console, for links and for telling our own pages from
    /// foreign ones. Default: http://localhost and the port of `listen`.
    #[arg(long, env = "PILOTHOUSE_PUBLIC_URL", value_name = "URL", global = true)]
    pub public_url: Option<PublicUrl>,

    /// Addresses of the proxy that ends TLS before us. Only what these say about where a request
    /// came from is believed. Default: none.
    #[arg(
        long,
        env = "PILOTHOUSE_TRUSTED_PROXY",
        value_name = "ADDRESS",
        value_delimiter = ',',
        global = true
    )]
    pub trusted_proxy: Option<Vec<IpAddr>>,

    /// Postgres for the application's role: postgres://ROLE@HOST/DATABASE. Better in the environment
    /// or the file than as a flag, which everybody on the machine can read. Also read from
    /// DATABASE_URL. Default: a private Postgres in `data_dir`.
    #[arg(
        long,
        env = "PILOTHOUSE_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    pub database_url: Option<String>,

    /// The same database for the role that owns the tables, used only to migrate. Also read from
    /// MIGRATION_DATABASE_URL. Default: `database_url`, and then the history is not protected by
    /// grants, which /readyz says.
    #[arg(
        long,
        env = "PILOTHOUSE_MIGRATION_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    pub migration_database_url: Option<String>,

    /// The files for the browser, as the build leaves them. Default: site, beside the program.
    #[arg(long, env = "PILOTHOUSE_SITE_DIR", value_name = "DIR", global = true)]
    pub site_dir: Option<PathBuf>,

    /// The Unix socket of the Docker engine. Also read from DOCKER_HOST. Default:
    /// /var/run/docker.sock.
    #[arg(long, env = "PILOTHOUSE_DOCKER", value_name = "SOCKET", global = true)]
    pub docker: Option<PathBuf>,

    /// The Unix socket by which the router is told what to do. Default: router/control.sock in
    /// `data_dir`.
    #[arg(long, env = "PILOTHOUSE_ROUTER_SOCKET", value_name = "SOCKET", global = true)]
    pub router_socket: Option<PathBuf>,

    /// Where the router answers, for links to services. Default: 127.0.0.1:7380.
    #[arg(long, env = "PILOTHOUSE_ROUTER_PUBLIC", value_name = "ADDRESS:PORT", global = true)]
    pub router_public: Option<SocketAddr>,

    /// A new placement answers at SERVICE.PROJECT.ENVIRONMENT and this. Default: localhost.
    #[arg(long, env = "PILOTHOUSE_BASE_DOMAIN", value_name = "NAME", global = true)]
    pub base_domain: Option<String>,

    /// Networks of instances are taken from here, a /24 for each project in each environment.
    /// Default: 10.211.0.0/16.
    #[arg(long, env = "PILOTHOUSE_ADDRESS_POOL", value_name = "NETWORK", global = true)]
    pub address_pool: Option<AddressPool>,

    /// What names of containers, networks and image tags of this installation begin with. Give each
    /// installation on a machine its own. Default: pilothouse.
    #[arg(long, env = "PILOTHOUSE_NAME_PREFIX", value_name = "WORD", global = true)]
    pub name_prefix: Option<Name>,

    /// How logs are written: text for a terminal, json for a collector. Default: text.
    #[arg(long, env = "PILOTHOUSE_LOG_FORMAT", value_name = "FORMAT", global = true)]
    pub log_format: Option<LogFormat>,

    /// What is logged, in the words of tracing: info, or info,engine=debug. Default: info.
    #[arg(long, env = "PILOTHOUSE_LOG_LEVEL", value_name = "FILTER", global = true)]
    pub log_level: Option<String>,

    /// Changes to the policy of the three environments that a new installation gets:
    /// observe_for=2s,passes=1. Existing environments are edited on their page. Default: none.
    #[arg(long, env = "PILOTHOUSE_POLICY", value_name = "NAME=VALUE", global = true)]
    pub policy: Option<PolicyChanges>,

    /// The most connections to the database. Default: 16.
    #[arg(long, env = "PILOTHOUSE_DATABASE_CONNECTIONS", value_name = "COUNT", global = true)]
    pub database_connections: Option<u32>,

    /// The most live streams at a time, of everybody together. Default: 2000.
    #[arg(long, env = "PILOTHOUSE_MAX_STREAMS", value_name = "COUNT", global = true)]
    pub max_streams: Option<u32>,

    /// The most live streams of one person: one a tab. Default: 20.
    #[arg(long, env = "PILOTHOUSE_MAX_STREAMS_PER_PERSON", value_name = "COUNT", global = true)]
    pub max_streams_per_person: Option<u32>,

    /// The largest form that is accepted, in KiB. Default: 256.
    #[arg(long, env = "PILOTHOUSE_MAX_BODY_KIB", value_name = "KIB", global = true)]
    pub max_body_kib: Option<u32>,

    /// The most connections to the console at a time. Default: 4096.
    #[arg(long, env = "PILOTHOUSE_MAX_CONNECTIONS", value_name = "COUNT", global = true)]
    pub max_connections: Option<u32>,

    /// How many builds run side by side; the others wait. Default: 2.
    #[arg(long, env = "PILOTHOUSE_BUILDS_AT_ONCE", value_name = "COUNT", global = true)]
    pub builds_at_once: Option<u32>,

    /// How long one build may take. Default: 30m.
    #[arg(long, env = "PILOTHOUSE_BUILD_WITHIN", value_name = "TIME", global = true)]
    pub build_within: Option<Span>,

    /// How many days the log of a build is kept. What came of it is kept for ever. Default: 30.
    #[arg(long, env = "PILOTHOUSE_BUILD_LOGS_DAYS", value_name = "DAYS", global = true)]
    pub build_logs_days: Option<u32>,

    /// How much the logs of all builds may take together, compressed, in MiB: the oldest go first.
    /// Default: 1024.
    #[arg(long, env = "PILOTHOUSE_BUILD_LOGS_MIB", value_name = "MIB", global = true)]
    pub build_logs_mib: Option<u32>,

    /// Addresses that git, registries and clusters may lead to although they are this machine's own,
    /// link-local or a metadata service: HOST, HOST:PORT, an address or a network. Default: none.
    #[arg(
        long,
        env = "PILOTHOUSE_OUTGOING_ALLOW",
        value_name = "ADDRESS",
        value_delimiter = ',',
        global = true
    )]
    pub outgoing_allow: Option<Vec<Exception>>,

    /// Authorities whose certificates of git servers are trusted, in PEM, instead of the system's.
    /// Default: the system's.
    #[arg(long, env = "PILOTHOUSE_GIT_CA_FILE", value_name = "FILE", global = true)]
    pub git_ca_file: Option<PathBuf>,

    /// Directories of this machine whose repositories may be built by their path. Default: none.
    #[arg(
        long,
        env = "PILOTHOUSE_GIT_PATHS",
        value_name = "DIR",
        value_delimiter = ',',
        global = true
    )]
    pub git_paths: Option<Vec<PathBuf>>,

    /// The most that a git server may send for one commit, in MiB. Its files may be twice as much.
    /// Default: 1024.
    #[arg(long, env = "PILOTHOUSE_GIT_MAX_MIB", value_name = "MIB", global = true)]
    pub git_max_mib: Option<u32>,

    /// How long a stop may take before what is left is cut off. Default: 10s.
    #[arg(long, env = "PILOTHOUSE_STOP_WITHIN", value_name = "TIME", global = true)]
    pub stop_within: Option<Span>,
}

/// What a start goes by: complete, checked, and never changed afterwards.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Absolute.
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub public_url: PublicUrl,
    pub trusted_proxy: Vec<IpAddr>,
    pub database: DatabaseChoice,
    pub database_connections: u32,
    pub site_dir: PathBuf,
    pub docker: PathBuf,
    pub router_socket: PathBuf,
    pub router_public: SocketAddr,
    pub base_domain: String,
    pub address_pool: AddressPool,
    pub name_prefix: Name,
    pub log_format: LogFormat,
    pub log_level: String,
    pub policy: PolicyChanges,
    pub limits: Limits,
    pub builds: Builds,
    pub stop_within: Duration,
    pub outgoing_allow: Vec<Exception>,
    pub git: GitSettings,
}

/// How repositories are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSettings {
    /// Absolute.
    pub ca_file: Option<PathBuf>,
    /// Absolute.
    pub paths: Vec<PathBuf>,
    pub received_bytes: u64,
}

/// How builds are carried out, and what is kept of what they wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builds {
    pub at_once: u32,
    pub within: Duration,
    pub logs_for: Duration,
    pub logs_bytes: u64,
}

/// Bounds of what clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub streams: usize,
    pub streams_per_person: usize,
    pub body_bytes: usize,
    pub connections: usize,
}

/// Which Postgres is used.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseChoice {
    /// One of our own in the data directory.
    Private,
    /// Somebody else runs it. Addresses may hold passwords, so they are never printed.
    Given { application: String, owner: Option<String> },
}

impl std::fmt::Debug for DatabaseChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Private => f.write_str("Private"),
            Self::Given { owner, .. } => {
                f.debug_struct("Given").field("owner", &owner.is_some()).finish_non_exhaustive()
            }
        }
    }
}

/// Why a start is refused. The sentence names the setting and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {sentence}")]
pub struct Refused {
    /// As it is written in the file.
    pub setting: String,
    pub sentence: String,
}

impl Refused {
    /// A setting and what is wrong with it.
    pub fn new(setting: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { setting: setting.into(), sentence: sentence.into() }
    }
}

impl Given {
    /// Takes from `less` what is not given here.
    #[must_use]
    pub fn or(self, less: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(less.data_dir),
            listen: self.listen.or(less.listen),
            public_url: self.public_url.or(less.public_url),
            trusted_proxy: self.trusted_proxy.or(less.trusted_proxy),
            database_url: self.database_url.or(less.database_url),
            migration_database_url: self.migration_database_url.or(less.migration_database_url),
            site_dir: self.site_dir.or(less.site_dir),
            docker: self.docker.or(less.docker),
            router_socket: self.router_socket.or(less.router_socket),
            router_public: self.router_public.or(less.router_public),
            base_domain: self.base_domain.or(less.base_domain),
            address_pool: self.address_pool.or(less.address_pool),
            name_prefix: self.name_prefix.or(less.name_prefix),
            log_format: self.log_format.or(less.log_format),
            log_level: self.log_level.or(less.log_level),
            policy: self.policy.or(less.policy),
            database_connections: self.database_connections.or(less.database_connections),
            max_streams: self.max_streams.or(less.max_streams),
            max_streams_per_person: self.max_streams_per_person.or(less.max_streams_per_person),
            max_body_kib: self.max_body_kib.or(less.max_body_kib),
            max_connections: self.max_connections.or(less.max_connections),
            builds_at_once: self.builds_at_once.or(less.builds_at_once),
            build_within: self.build_within.or(less.build_within),
            build_logs_days: self.build_logs_days.or(less.build_logs_days),
            build_logs_mib: self.build_logs_mib.or(less.build_logs_mib),
            outgoing_allow: self.outgoing_allow.or(less.outgoing_allow),
            git_ca_file: self.git_ca_file.or(less.git_ca_file),
            git_paths: self.git_paths.or(less.git_paths),
            git_max_mib: self.git_max_mib.or(less.git_max_mib),
            stop_within: self.stop_within.or(less.stop_within),
        }
    }
}

impl Settings {
    /// Fills in the defaults and refuses what does not go together.
    pub fn from_given(given: Given, around: &Around) -> Result<Self, Refused> {
        let data_dir = data_dir(&given, around)?;
        let listen = given.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7300)));
        let trusted_proxy = given.trusted_proxy.unwrap_or_default();
        let public_url = public_url(given.public_url, listen, &trusted_proxy)?;
        let database = database(
            given.database_url.or_else(|| around.database_url.clone()),
            given.migration_database_url.or_else(|| around.migration_database_url.clone()),
        )?;
        let docker = docker(given.docker, around.docker_host.as_deref())?;
        let site_dir = around.absolute(given.site_dir.unwrap_or_else(|| around.beside("site")));
        let router_socket = given
            .router_socket
            .map_or_else(|| data_dir.join("router/control.sock"), |socket| around.absolute(socket));
        let log_level = given.log_level.unwrap_or_else(|| "info".to_owned());
        if tracing_subscriber::EnvFilter::try_new(&log_level).is_err() {
            return Err(Refused::new(
                "log_level",
                format!("\"{log_level}\" is no filter. Use info, debug, or info,engine=debug."),
            ));
        }

        Ok(Self {
            listen,
            public_url,
            trusted_proxy,
            database,
            database_connections: count(
                "database_connections",
                given.database_connections,
                16,
                4..=500,
            )?,
            site_dir,
            docker,
            router_socket,
            router_public: given.router_public.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7380))),
            base_domain: base_domain(given.base_domain)?,
            address_pool: given.address_pool.unwrap_or_default(),
            name_prefix: name_prefix(given.name_prefix)?,
            log_format: given.log_format.unwrap_or_default(),
            log_level,
            policy: given.policy.unwrap_or_default(),
            limits: Limits {
                streams: count("max_streams", given.max_streams, 2000, 1..=100_000)? as usize,
                streams_per_person: count(
                    "max_streams_per_person",
                    given.max_streams_per_person,
                    20,
                    1..=1000,
                )? as usize,
                body_bytes: count("max_body_kib", given.max_body_kib, 256, 16..=65_536)? as usize
                    * 1024,
                connections: count("max_connections", given.max_connections, 4096, 16..=100_000)?
                    as usize,
            },
            builds: Builds {
                at_once: count("builds_at_once", given.builds_at_once, 2, 1..=64)?,
                within: build_within(given.build_within)?,
                logs_for: DAY * count("build_logs_days", given.build_logs_days, 30, 1..=3650)?,
                logs_bytes: u64::from(count(
                    "build_logs_mib",
                    given.build_logs_mib,
                    1024,
                    1..=1_048_576,
                )?) << 20,
            },
            outgoing_allow: given.outgoing_allow.unwrap_or_default(),
            git: GitSettings {
                ca_file: ca_file(given.git_ca_file.map(|file| around.absolute(file)))?,
                paths: given
                    .git_paths
                    .unwrap_or_default()
                    .into_iter()
                    .map(|path| around.absolute(path))
                    .collect(),
                received_bytes: u64::from(count(
                    "git_max_mib",
                    given.git_max_mib,
                    1024,
                    1..=65_536,
                )?) << 20,
            },
            stop_within: given.stop_within.map_or(Duration::from_secs(10), |span| span.0),
            data_dir,
        })
    }

    /// Where the link for the first admin is written.
    #[must_use]
    pub fn first_admin_link(&self) -> PathBuf {
        self.data_dir.join("first-admin-link")
    }
}

/// What a start finds around it, besides settings of its own: given as a value, so that the rules
/// above can be tested without an environment.
#[derive(Clone, Debug, Default)]
pub struct Around {
    pub home: Option<PathBuf>,
    pub is_root: bool,
    pub directory: PathBuf,
    pub program: PathBuf,
    pub database_url: Option<String>,
    pub migration_database_url: Option<String>,
    pub docker_host: Option<String>,
}

impl Around {
    /// Reads this process's surroundings.
    pub fn of_this_process() -> std::io::Result<Self> {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Ok(Self {
            home: std::env::var_os("HOME").map(PathBuf::from),
            is_root: rustix::process::geteuid().is_root(),
            directory: std::env::current_dir()?,
            program: std::env::current_exe()?,
            database_url: text("DATABASE_URL"),
            migration_database_url: text("MIGRATION_DATABASE_URL"),
            docker_host: text("DOCKER_HOST"),
        })
    }

    fn absolute(&self, path: PathBuf) -> PathBuf {
        if path.is_absolute() { path } else { self.directory.join(path) }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.program.parent().unwrap_or(&self.directory).join(name)
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn build_within(given: Option<Span>) -> Result<Duration, Refused> {
    let within = given.map_or(Duration::from_secs(30 * 60), |span| span.0);
    if (Duration::from_secs(1)..=DAY).contains(&within) {
        return Ok(within);
    }
    Err(Refused::new("build_within", "It is not from 1s to 24h."))
}

/// A file that is named must be there: without it every server would be refused later.
fn ca_file(file: Option<PathBuf>) -> Result<Option<PathBuf>, Refused> {
    match file {
        Some(file) if !file.is_file() => {
            Err(Refused::new("git_ca_file", format!("{} is not there.", file.display())))
        }
        file => Ok(file),
    }
}

fn count(
    setting: &str,
    given: Option<u32>,
    default: u32,
    bounds: RangeInclusive<u32>,
) -> Result<u32, Refused> {
    let count = given.unwrap_or(default);
    if bounds.contains(&count) {
        return Ok(count);
    }
    let (least, most) = (bounds.start(), bounds.end());
    Err(Refused::new(setting, format!("{count} is not from {least} to {most}.")))
}

/// The data directory, which is needed before the file in it can be read.
pub fn data_dir(given: &Given, around: &Around) -> Result<PathBuf, Refused> {
    if let Some(directory) = &given.data_dir {
        return Ok(around.absolute(directory.clone()));
    }
    if around.is_root {
        return Ok(PathBuf::from("/var/lib/pilothouse"));
    }
    around.home.as_ref().map(|home| home.join(".local/share/pilothouse")).ok_or_else(|| {
        Refused::new("data_dir", "There is no HOME to find a place in. Name a directory.")
    })
}

/// Plain HTTP leaves this machine only towards a proxy that was named.
fn public_url(
    given: Option<PublicUrl>,
    listen: SocketAddr,
    trusted_proxy: &[IpAddr],
) -> Result<PublicUrl, Refused> {
    if !listen.ip().is_loopback() {
        if trusted_proxy.is_empty() {
            return Err(Refused::new(
                "listen",
                format!(
                    "{listen} can be reached from other machines, and this program speaks plain \
                     HTTP. Listen on 127.0.0.1, or put a proxy with TLS in front and name its \
                     address as trusted_proxy."
                ),
            ));
        }
        if given.is_none() {
            return Err(Refused::new(
                "public_url",
                "Behind a proxy the address that people use must be given, like \
                 https://pilothouse.example.com.",
            ));
        }
    }
    let url = given.unwrap_or_else(|| PublicUrl::localhost(listen.port()));
    if !url.is_https() && !url.is_loopback() {
        return Err(Refused::new(
            "public_url",
            format!(
                "{url} is plain HTTP on another machine than this: browsers would not send the \
                 sign-in cookie. Use https, with a proxy that is named as trusted_proxy."
            ),
        ));
    }
    if url.is_https() && trusted_proxy.is_empty() {
        return Err(Refused::new(
            "trusted_proxy",
            format!("{url} needs a proxy that ends TLS. Name its address, like 127.0.0.1."),
        ));
    }
    Ok(url)
}

fn database(application: Option<String>, owner: Option<String>) -> Result<DatabaseChoice, Refused> {
    for (setting, url) in [("database_url", &application), ("migration_database_url", &owner)] {
        // The value is not repeated: it may hold a password.
        if url
            .as_ref()
            .is_some_and(|url| !url.starts_with("postgres://") && !url.starts_with("postgresql://"))
        {
            return Err(Refused::new(setting, "It must begin with postgres://."));
        }
    }
    match (application, owner) {
        (None, None) => Ok(DatabaseChoice::Private),
        (Some(application), owner) => Ok(DatabaseChoice::Given { application, owner }),
        (None, Some(_)) => Err(Refused::new(
            "migration_database_url",
            "It is given without database_url. Give both, or neither for a private Postgres.",
        )),
    }
}

fn docker(given: Option<PathBuf>, host: Option<&str>) -> Result<PathBuf, Refused> {
    let default = || PathBuf::from("/var/run/docker.sock");
    let path = match (given, host) {
        (Some(given), _) => match given.to_str().and_then(|text| text.strip_prefix("unix://")) {
            Some(path) => PathBuf::from(path),
            None => given,
        },
        (None, None) => default(),
        (None, Some(host)) => PathBuf::from(host.strip_prefix("unix://").ok_or_else(|| {
            Refused::new(
                "docker",
                format!("DOCKER_HOST is {host}. Only Unix sockets are spoken, like unix:///path."),
            )
        })?),
    };
    if !path.is_absolute() {
        return Err(Refused::new("docker", format!("{} is no absolute path.", path.display())));
    }
    Ok(path)
}

fn base_domain(given: Option<String>) -> Result<String, Refused> {
    let domain = given.unwrap_or_else(|| "localhost".to_owned()).to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if domain.len() > 120 || !domain.split('.').all(label) {
        return Err(Refused::new(
            "base_domain",
            format!("\"{domain}\" is no domain. Letters, digits and hyphens between dots."),
        ));
    }
    Ok(domain)
}

/// Names of containers are made of it, and of more words behind it: it must leave them room.
fn name_prefix(given: Option<Name>) -> Result<Name, Refused> {
    const USUAL: &str = "pilothouse";
    let prefix = match given {
        Some(prefix) => prefix,
        None => USUAL.parse().map_err(|_| Refused::new("name_prefix", "It is no name."))?,
    };
    if prefix.as_str().len() > 20 {
        return Err(Refused::new("name_prefix", "It may have at most 20 letters."));
    }
    Ok(prefix)
}
