//! `offer`: offer a model at a price, change the offer, or withdraw it.

use super::connect;
use crate::{
    amount::Amount,
    chain::{metadata::runtime, Chain, ChainView},
    cli::{ModelArgs, OfferArgs},
    config::Settings,
    error::{Error, Kind, Result},
    manifest::{absolute, ModelFolder},
    market::View,
    model_store::{parse_id, shown, ModelStore},
};
use genesisflow_primitives::{views::ModelView, ModelId, Prices};
use std::path::Path;

/// Runs `offer`.
pub async fn run(settings: &Settings, args: &OfferArgs) -> Result<()> {
    let mut store = ModelStore::open(&settings.data_dir)?;
    let chain = connect(settings).await?;
    let view = chain.view().await?;
    let model = find(&store, &args.model)?;
    if args.remove {
        return remove(&chain, &view, model).await;
    }
    let (Some(Amount(input)), Some(Amount(output))) = (args.price_input, args.price_output) else {
        return Err(Error::new(Kind::Usage, "an offer needs both prices")
            .fix("pass --price-input and --price-output"));
    };
    let prices = Prices { input, output };
    let registered = view.model(model).await.map_err(|e| chain.give_up(e))?;
    check(model, registered, prices)?;
    if view.worker().await.map_err(|e| chain.give_up(e))?.is_none() {
        return Err(
            Error::new(Kind::Account, "this account is no worker: it has no stake")
                .fix("run `genesisflow-worker register --stake GEN` first"),
        );
    }
    if let Some(dir) = store.named(&args.model) {
        store.note(model, &dir)?;
    }
    let before = view.offer(model).await.map_err(|e| chain.give_up(e))?;
    if before.is_some_and(|offer| offer.prices == prices && offer.capacity == args.capacity) {
        println!("Offered already, on these terms: {}", shown(model));
        return Ok(());
    }
    let call = runtime::transactions()
        .inference()
        .set_offer(model, input, output, args.capacity);
    chain.execute("set the offer", &call).await?;
    println!(
        "Offering {} at {} per input token and {} per output token, {} job(s) at a time.",
        shown(model),
        Amount(input),
        Amount(output),
        args.capacity
    );
    Ok(())
}

async fn remove(chain: &Chain, view: &ChainView, model: ModelId) -> Result<()> {
    let offer = view.offer(model).await.map_err(|e| chain.give_up(e))?;
    if offer.is_none() {
        println!("There is no offer of {}.", shown(model));
        return Ok(());
    }
    let call = runtime::transactions().inference().remove_offer(model);
    chain.execute("withdraw the offer", &call).await?;
    println!("Withdrew the offer of {}.", shown(model));
    Ok(())
}

/// The model that an id or a folder names.
fn find(store: &ModelStore, named: &str) -> Result<ModelId> {
    if let Some(id) = parse_id(named) {
        return Ok(id);
    }
    if named.starts_with("0x") {
        return Err(Error::new(Kind::Usage, format!("`{named}` is no model id"))
            .fix("an id is 0x and 64 hexadecimal digits, as `model id` prints it"));
    }
    let dir = match store.named(named) {
        Some(dir) => dir,
        None => absolute(Path::new(named))?,
    };
    if let Some(id) = store.model(&dir) {
        return Ok(id);
    }
    let args = ModelArgs {
        dir,
        ..ModelArgs::default()
    };
    Ok(ModelFolder::describe(&args)?.id())
}

/// Makes sure that the chain will take an offer of `model` at `prices`.
fn check<A>(model: ModelId, registered: Option<ModelView<A>>, prices: Prices) -> Result<()> {
    let Some(registered) = registered else {
        return Err(Error::new(
            Kind::Model,
            format!("model {} is not registered on this chain", shown(model)),
        )
        .fix("run `genesisflow-worker model register DIR` first"));
    };
    if registered.retired {
        return Err(Error::new(
            Kind::Model,
            format!("model {} is retired and takes no offers", shown(model)),
        )
        .fix("register it again with `genesisflow-worker model register DIR`"));
    }
    let terms = registered.terms;
    for (flag, price, least) in [
        ("--price-input", prices.input, terms.min_price_input),
        ("--price-output", prices.output, terms.min_price_output),
    ] {
        if price < least {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "{flag} {} is below the model's least price, {}",
                    Amount(price),
                    Amount(least)
                ),
            )
            .fix("ask for at least that"));
        }
    }
    Ok(())
}
