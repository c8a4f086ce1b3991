//! Runs what the command line asks for.

use crate::{
    chain_spec,
    cli::{ChainSpecCmd, Cli, Subcommand},
    service,
};
use genesisflow_runtime::opaque::Block;
use sc_cli::SubstrateCli;
use sc_network::config::NetworkBackendType;

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "GenesisFlow Node".into()
    }

    fn impl_version() -> String {
        env!("SUBSTRATE_CLI_IMPL_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        "GenesisFlow developers".into()
    }

    fn support_url() -> String {
        concat!(env!("CARGO_PKG_REPOSITORY"), "/issues").into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        Ok(match id {
            "dev" => Box::new(chain_spec::development()?),
            "" | "local" => Box::new(chain_spec::local()?),
            path => Box::new(chain_spec::ChainSpec::from_json_file(path.into()).map_err(
                |error| {
                    format!(
                        "cannot use {path} as a chain: {error}. \
                         Pass --chain dev, --chain local or a chain specification file"
                    )
                },
            )?),
        })
    }
}

/// Parses the command line and runs it.
///
/// # Errors
/// Whatever the chosen command reports.
pub fn run() -> sc_cli::Result<()> {
    let cli = Cli::from_args();

    match &cli.subcommand {
        Some(Subcommand::Key(cmd)) => cmd.run(&cli),
        Some(Subcommand::Sign(cmd)) => cmd.run(),
        Some(Subcommand::Verify(cmd)) => cmd.run(),
        Some(Subcommand::Vanity(cmd)) => cmd.run(),
        Some(Subcommand::ChainSpec(ChainSpecCmd::Export(cmd))) => {
            cmd.run(cli.load_spec(&cmd.chain)?)
        }
        Some(Subcommand::CheckBlock(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            Ok((
                cmd.run(parts.client, parts.import_queue),
                parts.task_manager,
            ))
        }),
        Some(Subcommand::ExportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            Ok((cmd.run(parts.client, config.database), parts.task_manager))
        }),
        Some(Subcommand::ExportState(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            Ok((cmd.run(parts.client, config.chain_spec), parts.task_manager))
        }),
        Some(Subcommand::ImportBlocks(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            Ok((
                cmd.run(parts.client, parts.import_queue),
                parts.task_manager,
            ))
        }),
        Some(Subcommand::PurgeChain(cmd)) => cli
            .create_runner(cmd)?
            .sync_run(|config| cmd.run(config.database)),
        Some(Subcommand::Revert(cmd)) => cli.create_runner(cmd)?.async_run(|config| {
            let parts = service::new_partial(&config)?;
            let backend = parts.backend.clone();
            let revert_consensus = Box::new(|client, backend, blocks| {
                sc_consensus_babe::revert(Clone::clone(&client), backend, blocks)?;
                sc_consensus_grandpa::revert(client, blocks)?;
                Ok(())
            });
            Ok((
                cmd.run(parts.client, backend, Some(revert_consensus)),
                parts.task_manager,
            ))
        }),
        Some(Subcommand::ChainInfo(cmd)) => cli
            .create_runner(cmd)?
            .sync_run(|config| cmd.run::<Block>(&config)),
        None => cli
            .create_runner(&cli.run)?
            .run_node_until_exit(|config| async move {
                match config.network.network_backend {
                    NetworkBackendType::Litep2p => {
                        service::new_full(config).map_err(sc_cli::Error::Service)
                    }
                    NetworkBackendType::Libp2p => Err(sc_cli::Error::Input(
                        "this node speaks litep2p only: remove --network-backend libp2p".into(),
                    )),
                }
            }),
    }
}
