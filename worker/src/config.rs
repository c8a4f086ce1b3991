//! Settings: flags and environment over the configuration file over defaults.

use crate::{
    amount::Amount,
    audits::{Appeals, Disputes},
    cli::{CommonArgs, ModelAddArgs, RunArgs},
    error::{Error, Kind, Result},
    hub::DEFAULT_HUB,
    key::{KeySource, KEY_VARIABLE},
};
use bytesize::ByteSize;
use genesisflow_engine::devices::DeviceChoice;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

const DEFAULT_URL: &str = "ws://127.0.0.1:9944";
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
/// Name of the configuration file in the data directory.
pub const CONFIG_FILE: &str = "worker.toml";

/// The configuration file, key for key.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ConfigFile {
    url: Option<String>,
    key_file: Option<PathBuf>,
    proxy_for: Option<String>,
    data_dir: Option<PathBuf>,
    log: Option<String>,
    #[serde(default)]
    models: Vec<PathBuf>,
    shutdown_grace: Option<u64>,
    appeal: Option<bool>,
    appeal_bond_limit: Option<Amount>,
    dispute_sample_rate: Option<f64>,
    dispute_confidence: Option<f64>,
    dispute_least_gain: Option<Amount>,
    dispute_bond_limit: Option<Amount>,
    metrics: Option<SocketAddr>,
    hub: Option<String>,
    disk_quota: Option<ByteSize>,
    device: Option<String>,
}

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Settings {
    /// WebSocket address of the node.
    pub url: String,
    /// Where the key comes from, if one was given.
    pub key: Option<KeySource>,
    /// The account that the key is a proxy of, if it is one.
    pub proxy_for: Option<String>,
    /// Directory of the journal and the list of models.
    pub data_dir: PathBuf,
    /// Log filter, if one was given.
    pub log: Option<String>,
    /// Model folders to serve, from the configuration file.
    pub models: Vec<PathBuf>,
    /// How long a stop waits for the job in hand.
    pub shutdown_grace: Duration,
    /// When to appeal against a verdict.
    pub appeals: Appeals,
    /// Which of others' results to look at unasked, and when to dispute.
    pub disputes: Disputes,
    /// Where to answer Prometheus, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Address of the hub that models are fetched from.
    pub hub: String,
    /// Bytes that the models of the data directory may take together.
    pub disk_quota: Option<u64>,
    /// What models run on.
    pub device: DeviceChoice,
}

impl Settings {
    /// Combines `args` (flags and environment) with the configuration file.
    ///
    /// # Errors
    /// [`Kind::Usage`] if a configuration file was named and cannot be read,
    /// or if it has an unknown or malformed key.
    pub fn resolve(args: &CommonArgs) -> Result<Self> {
        let default_dir = args.data_dir.clone().or_else(default_data_dir);
        let file = match (&args.config, &default_dir) {
            (Some(path), _) => read_file(path)?,
            (None, Some(dir)) if dir.join(CONFIG_FILE).is_file() => {
                read_file(&dir.join(CONFIG_FILE))?
            }
            _ => ConfigFile::default(),
        };
        let disputes = disputes(&file)?;
        let key = if let Some(name) = &args.dev_key {
            Some(KeySource::Dev(name.clone()))
        } else if let Some(path) = &args.key_file {
            Some(KeySource::File(path.clone()))
        } else if std::env::var_os(KEY_VARIABLE).is_some() {
            Some(KeySource::Environment)
        } else {
            file.key_file.map(KeySource::File)
        };
        let data_dir = args
            .data_dir
            .clone()
            .or(file.data_dir)
            .or(default_dir)
            .ok_or_else(|| {
                Error::new(
                    Kind::Usage,
                    "no data directory is known, because HOME is not set",
                )
                .fix("pass --data-dir DIR")
            })?;
        let device = match (&args.device, &file.device) {
            (Some(device), _) => device.clone(),
            (None, Some(device)) => device.parse().map_err(|error| {
                Error::new(
                    Kind::Usage,
                    "the configuration file's `device` cannot be followed",
                )
                .because(error)
            })?,
            (None, None) => DeviceChoice::Auto,
        };
        Ok(Self {
            url: args
                .url
                .clone()
                .or(file.url)
                .unwrap_or_else(|| DEFAULT_URL.into()),
            key,
            proxy_for: args.proxy_for.clone().or(file.proxy_for),
            data_dir,
            log: args.log.clone().or(file.log),
            models: file.models,
            shutdown_grace: file
                .shutdown_grace
                .map_or(DEFAULT_SHUTDOWN_GRACE, Duration::from_secs),
            appeals: Appeals {
                enabled: file.appeal.unwrap_or(true),
                largest_bond: file.appeal_bond_limit.map(|limit| limit.0),
            },
            disputes,
            metrics: file.metrics,
            hub: file.hub.unwrap_or_else(|| DEFAULT_HUB.into()),
            disk_quota: file.disk_quota.map(|quota| quota.as_u64()),
            device,
        })
    }

    /// Lets the arguments of `model add` replace what the file says.
    pub fn with_add_args(mut self, args: &ModelAddArgs) -> Self {
        if let Some(hub) = &args.hub {
            self.hub.clone_from(hub);
        }
        if let Some(quota) = args.disk_quota {
            self.disk_quota = Some(quota.as_u64());
        }
        self
    }

    /// Lets the arguments of `run` replace what the file says.
    pub fn with_run_args(mut self, args: &RunArgs) -> Self {
        if !args.models.is_empty() {
            self.models.clone_from(&args.models);
        }
        if let Some(seconds) = args.shutdown_grace {
            self.shutdown_grace = Duration::from_secs(seconds);
        }
        if args.no_appeal {
            self.appeals.enabled = false;
        }
        if let Some(limit) = args.appeal_bond_limit {
            self.appeals.largest_bond = Some(limit.0);
        }
        self.metrics = args.metrics.or(self.metrics);
        self
    }
}

/// What the file says about disputes.
fn disputes(file: &ConfigFile) -> Result<Disputes> {
    let defaults = Disputes::default();
    let share = |key: &str, value: Option<f64>, default: f64| {
        let value = value.unwrap_or(default);
        if (0.0..=1.0).contains(&value) {
            return Ok(value);
        }
        Err(Error::new(Kind::Usage, format!("`{key}` is {value}"))
            .fix("give a number from 0 to 1, such as 0.05"))
    };
    let rate = share(
        "dispute-sample-rate",
        file.dispute_sample_rate,
        defaults.sample_rate,
    )?;
    let default = f64::from(defaults.confidence_permille) / 1_000.0;
    let confidence = share("dispute-confidence", file.dispute_confidence, default)?;
    Ok(Disputes {
        sample_rate: rate,
        // Between 0 and 1,000.
        confidence_permille: (confidence * 1_000.0).round() as u32,
        least_gain: file
            .dispute_least_gain
            .as_ref()
            .map_or(defaults.least_gain, |gain| gain.0),
        largest_bond: file.dispute_bond_limit.as_ref().map(|limit| limit.0),
    })
}

fn read_file(path: &Path) -> Result<ConfigFile> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(
            Kind::Usage,
            format!("cannot read the configuration file {shown}"),
        )
        .because(error)
        .fix("check the path given with --config or GENESISFLOW_CONFIG")
    })?;
    let mut file: ConfigFile = toml::from_str(&text).map_err(|error| {
        Error::new(Kind::Usage, format!("the configuration file {shown} is malformed"))
            .because(in_line(&text, &error))
            .fix("the keys are url, key-file, proxy-for, data-dir, log, models, shutdown-grace, appeal, appeal-bond-limit, dispute-sample-rate, dispute-confidence, dispute-least-gain, dispute-bond-limit, metrics, hub, disk-quota and device; see the worker's README")
    })?;
    // Paths in the file are meant from where the file is.
    let base = path.parent().unwrap_or(Path::new("."));
    let anchored = |path: &mut PathBuf| *path = base.join(&*path);
    file.key_file.iter_mut().for_each(anchored);
    file.data_dir.iter_mut().for_each(anchored);
    file.models.iter_mut().for_each(anchored);
    Ok(file)
}

/// What is wrong with the file and where, without repeating the line: a secret may have been put
/// there by mistake, and what is said here ends up in logs.
fn in_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => message.to_owned(),
    }
}

fn default_data_dir() -> Option<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("genesisflow-worker"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::GEN;

    fn args_with(dir: &Path) -> CommonArgs {
        CommonArgs {
            data_dir: Some(dir.to_owned()),
            ..CommonArgs::default()
        }
    }

    #[test]
    fn without_a_file_the_defaults_hold() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::resolve(&args_with(dir.path())).unwrap();
        assert_eq!(settings.url, DEFAULT_URL);
        assert_eq!(settings.data_dir, dir.path());
        assert_eq!(settings.shutdown_grace, DEFAULT_SHUTDOWN_GRACE);
    }

    #[test]
    fn the_file_in_the_data_directory_is_read_and_a_flag_wins_over_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join(CONFIG_FILE),
            "url = \"ws://file:1\"\nkey-file = \"key\"\nmodels = [\"m\"]\nshutdown-grace = 5\nappeal-bond-limit = \"2.5\"\nmetrics = \"127.0.0.1:9616\"\nhub = \"https://mirror\"\ndisk-quota = \"1.5 GB\"\ndevice = \"cpu\"\n",
        )
        .unwrap();
        let mut args = args_with(dir.path());
        let settings = Settings::resolve(&args).unwrap();
        assert_eq!(settings.url, "ws://file:1");
        assert_eq!(settings.key, Some(KeySource::File(dir.path().join("key"))));
        assert_eq!(settings.models, [dir.path().join("m")]);
        assert_eq!(settings.shutdown_grace, Duration::from_secs(5));
        assert!(settings.appeals.enabled);
        assert_eq!(settings.appeals.largest_bond, Some(5 * GEN / 2));
        assert_eq!(settings.metrics, Some(([127, 0, 0, 1], 9616).into()));
        assert_eq!(settings.hub, "https://mirror");
        assert_eq!(settings.disk_quota, Some(1_500_000_000));
        let add = ModelAddArgs {
            disk_quota: Some(ByteSize::mb(7)),
            ..ModelAddArgs::default()
        };
        let settings = settings.with_add_args(&add);
        assert_eq!(settings.hub, "https://mirror");
        assert_eq!(settings.disk_quota, Some(7_000_000));

        assert_eq!(settings.device, DeviceChoice::Processor);

        args.url = Some("ws://flag:2".into());
        args.device = Some(DeviceChoice::Cards(vec![1]));
        args.dev_key = Some("//Bob".into());
        let run = RunArgs {
            models: vec!["other".into()],
            shutdown_grace: Some(1),
            no_appeal: true,
            appeal_bond_limit: Some(Amount(GEN)),
            metrics: None,
        };
        let settings = Settings::resolve(&args).unwrap().with_run_args(&run);
        assert_eq!(settings.url, "ws://flag:2");
        assert_eq!(settings.key, Some(KeySource::Dev("//Bob".into())));
        assert_eq!(settings.device, DeviceChoice::Cards(vec![1]));
        assert_eq!(settings.models, [PathBuf::from("other")]);
        assert_eq!(settings.shutdown_grace, Duration::from_secs(1));
        let appeals = Appeals {
            enabled: false,
            largest_bond: Some(GEN),
        };
        assert_eq!(settings.appeals, appeals);
    }

    #[test]
    fn disputes_are_off_unless_the_file_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::resolve(&args_with(dir.path())).unwrap();
        assert_eq!(settings.disputes, Disputes::default());
        assert_eq!(settings.disputes.sample_rate, 0.0);
        let path = dir.path().join(CONFIG_FILE);
        std::fs::write(
            &path,
            "dispute-sample-rate = 0.25\ndispute-confidence = 0.95\ndispute-least-gain = \"2\"\n",
        )
        .unwrap();
        let disputes = Settings::resolve(&args_with(dir.path())).unwrap().disputes;
        assert_eq!(
            (
                disputes.sample_rate,
                disputes.confidence_permille,
                disputes.least_gain
            ),
            (0.25, 950, 2 * GEN)
        );
        std::fs::write(&path, "dispute-sample-rate = 25\n").unwrap();
        let error = Settings::resolve(&args_with(dir.path())).unwrap_err();
        assert!(error.to_string().contains("dispute-sample-rate"), "{error}");
    }

    #[test]
    fn an_unknown_key_and_a_missing_file_are_errors_that_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        let mut args = args_with(dir.path());
        args.config = Some(path.clone());
        let missing = Settings::resolve(&args).unwrap_err();
        assert_eq!(missing.kind(), Kind::Usage);
        assert!(missing.to_string().contains("c.toml"), "{missing}");

        std::fs::write(&path, "urll = \"ws://x\"").unwrap();
        let unknown = Settings::resolve(&args).unwrap_err();
        assert!(unknown.to_string().contains("urll"), "{unknown}");
        assert!(unknown.to_string().contains("line 1"), "{unknown}");
        let secret = "log = \"info\"\nphrase = \"bottom drive obey lake\"";
        std::fs::write(&path, secret).unwrap();
        let secret = Settings::resolve(&args).unwrap_err().to_string();
        assert!(
            secret.contains("line 2") && secret.contains("phrase"),
            "{secret}"
        );
        assert!(!secret.contains("bottom"), "{secret}");
    }
}
