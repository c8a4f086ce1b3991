//! What anyone can do, and how often it is tried.

use proptest::prelude::*;

/// One thing that somebody does. Small numbers select among accounts, jobs and sizes when the
/// action is played, so that most actions meet something to act on.
#[derive(Clone, Debug)]
pub(super) enum Action {
    RegisterModel {
        who: u8,
        which: bool,
    },
    RetireModel {
        who: u8,
        which: bool,
    },
    RegisterWorker {
        who: u8,
        stake: u16,
    },
    BondMore {
        who: u8,
        amount: u16,
    },
    Chill {
        who: u8,
    },
    Activate {
        who: u8,
    },
    Unbond {
        who: u8,
        share: u8,
    },
    Withdraw {
        who: u8,
    },
    SetOffer {
        who: u8,
        which: bool,
        input: u8,
        output: u8,
        capacity: u8,
    },
    RemoveOffer {
        who: u8,
        which: bool,
    },
    Submit {
        who: u8,
        which: bool,
        len: u8,
        max_output: u8,
        fee: u16,
    },
    SubmitWith {
        who: u8,
        which: bool,
        fee: u16,
        open: u8,
        within: u8,
        to: Option<u8>,
    },
    Claim {
        who: u8,
        job: u8,
    },
    Deliver {
        job: u8,
        input: u8,
        tokens: u8,
        fault: bool,
        thief: Option<u8>,
    },
    Accept {
        job: u8,
        who: Option<u8>,
    },
    Cancel {
        job: u8,
        who: Option<u8>,
    },
    Progress {
        who: u8,
        job: u8,
    },
    Pass {
        blocks: u8,
        idle: Idle,
    },
    SetParameters {
        tight: u8,
        share: u8,
        factor: u8,
    },
    SetAuditParameters {
        seats: u8,
        windows: u8,
        shares: u8,
    },
    Dispute {
        who: u8,
        job: u8,
    },
    Commit {
        seat: u8,
        vote: u8,
        thief: Option<u8>,
    },
    Reveal {
        seat: u8,
        vote: Option<u8>,
        thief: Option<u8>,
    },
    Appeal {
        who: u8,
        job: u8,
    },
    CancelSlash {
        who: u8,
        job: u8,
        root: bool,
    },
    Outlast {
        job: u8,
        idle: Idle,
    },
    Outage {
        job: u8,
    },
    Outputs {
        salt: Option<u8>,
    },
    Transfer {
        from: u8,
        to: u8,
        share: u8,
    },
    Freeze {
        who: u8,
        amount: u32,
    },
    Impoverish {
        who: u8,
        left: u8,
    },
}

/// How much room blocks leave for `on_idle`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Idle {
    Nothing,
    OneJob,
    Everything,
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let idle =
        prop_oneof![3 => Just(Idle::Nothing), 1 => Just(Idle::OneJob), 1 => Just(Idle::Everything)];
    prop_oneof![
        2 => any::<(u8, bool)>().prop_map(|(who, which)| RegisterModel { who, which }),
        1 => any::<(u8, bool)>().prop_map(|(who, which)| RetireModel { who, which }),
        2 => any::<(u8, u16)>().prop_map(|(who, stake)| RegisterWorker { who, stake }),
        1 => any::<(u8, u16)>().prop_map(|(who, amount)| BondMore { who, amount }),
        1 => any::<u8>().prop_map(|who| Chill { who }),
        3 => any::<u8>().prop_map(|who| Activate { who }),
        2 => any::<(u8, u8)>().prop_map(|(who, share)| Unbond { who, share }),
        3 => any::<u8>().prop_map(|who| Withdraw { who }),
        3 => any::<(u8, bool, u8, u8, u8)>().prop_map(|(who, which, input, output, capacity)| {
            SetOffer { who, which, input, output, capacity }
        }),
        1 => any::<(u8, bool)>().prop_map(|(who, which)| RemoveOffer { who, which }),
        8 => any::<(u8, bool, u8, u8, u16)>().prop_map(|(who, which, len, max_output, fee)| {
            Submit { who, which, len, max_output, fee }
        }),
        4 => any::<(u8, bool, u16, u8, u8, Option<u8>)>().prop_map(
            |(who, which, fee, open, within, to)| SubmitWith { who, which, fee, open, within, to }
        ),
        16 => any::<(u8, u8)>().prop_map(|(who, job)| Claim { who, job }),
        12 => (any::<(u8, u8, u8, bool)>(), prop::option::weighted(0.1, any::<u8>())).prop_map(
            |((job, input, tokens, fault), thief)| Deliver { job, input, tokens, fault, thief }
        ),
        3 => (any::<u8>(), prop::option::weighted(0.2, any::<u8>()))
            .prop_map(|(job, who)| Accept { job, who }),
        2 => (any::<u8>(), prop::option::weighted(0.2, any::<u8>()))
            .prop_map(|(job, who)| Cancel { job, who }),
        8 => any::<(u8, u8)>().prop_map(|(who, job)| Progress { who, job }),
        5 => (any::<u8>(), idle.clone()).prop_map(|(blocks, idle)| Pass { blocks, idle }),
        1 => any::<(u8, u8, u8)>()
            .prop_map(|(tight, share, factor)| SetParameters { tight, share, factor }),
        1 => any::<(u8, u8, u8)>().prop_map(
            |(seats, windows, shares)| SetAuditParameters { seats, windows, shares }
        ),
        6 => any::<(u8, u8)>().prop_map(|(who, job)| Dispute { who, job }),
        40 => (any::<(u8, u8)>(), prop::option::weighted(0.05, any::<u8>()))
            .prop_map(|((seat, vote), thief)| Commit { seat, vote, thief }),
        30 => (
            any::<u8>(),
            prop::option::weighted(0.05, any::<u8>()),
            prop::option::weighted(0.05, any::<u8>()),
        )
            .prop_map(|(seat, vote, thief)| Reveal { seat, vote, thief }),
        4 => any::<(u8, u8)>().prop_map(|(who, job)| Appeal { who, job }),
        2 => any::<(u8, u8, bool)>().prop_map(|(who, job, root)| CancelSlash { who, job, root }),
        7 => (any::<u8>(), idle).prop_map(|(job, idle)| Outlast { job, idle }),
        2 => any::<u8>().prop_map(|job| Outage { job }),
        1 => prop::option::weighted(0.9, any::<u8>()).prop_map(|salt| Outputs { salt }),
        2 => any::<(u8, u8, u8)>().prop_map(|(from, to, share)| Transfer { from, to, share }),
        1 => any::<(u8, u32)>().prop_map(|(who, amount)| Freeze { who, amount }),
        1 => any::<(u8, u8)>().prop_map(|(who, left)| Impoverish { who, left }),
    ]
}
