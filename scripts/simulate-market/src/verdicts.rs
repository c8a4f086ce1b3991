//! How often audits end wrongly, by the share of stake that attackers hold.

use crate::{
    game::Game,
    playout::Playout,
    pool::Pool,
    random::{fits, Random},
    rules::Rules,
    table::{amount, percent, Report, Table},
};

/// Shares of a pool's stake that attackers hold.
pub const HOSTILE_SHARES: [f64; 4] = [0.10, 0.20, 0.33, 0.45];
/// How often an honest auditor is silent.
pub const SILENCE: f64 = 0.01;
/// Honest accounts in a pool.
pub const HONEST_ACCOUNTS: usize = 60;

/// What attackers want of an audit.
#[derive(Clone, Copy)]
enum Aim {
    /// A right result rejected; attackers only sit in committees.
    Smear,
    /// A right result rejected; attackers also dispute and appeal.
    SmearAsParty,
    /// A wrong result paid; its requester does not look.
    Protect,
    /// A wrong result paid; its requester replays it and appeals.
    ProtectFromWatcher,
}

impl Aim {
    const ALL: [Self; 4] = [
        Self::Smear,
        Self::SmearAsParty,
        Self::Protect,
        Self::ProtectFromWatcher,
    ];

    fn text(self) -> &'static str {
        match self {
            Self::Smear => "honest worker rejected: attackers sit in committees only",
            Self::SmearAsParty => "honest worker rejected: attackers also dispute and appeal",
            Self::Protect => "cheat escapes: requester does not look",
            Self::ProtectFromWatcher => "cheat escapes: requester replays and appeals",
        }
    }

    fn exact(self, game: &Game) -> f64 {
        match self {
            Self::Smear => game.wrongly_rejected(false),
            Self::SmearAsParty => game.wrongly_rejected(true),
            Self::Protect => game.escapes(false),
            Self::ProtectFromWatcher => game.escapes(true),
        }
    }

    fn played(self, game: &Game, playout: &mut Playout, jobs: u64, random: &mut Random) -> f64 {
        let values = match self {
            Self::Smear => game.smearing(false),
            Self::SmearAsParty => game.smearing(true),
            Self::Protect => game.protecting(false),
            Self::ProtectFromWatcher => game.protecting(true),
        };
        let wins = (0..jobs)
            .filter(|_| playout.attackers_win(&values, random))
            .count();
        wins as f64 / jobs as f64
    }
}

/// The chance that an audited cheat is rejected, for a hostile share and a requester that does not
/// look.
pub fn detection(rules: &Rules, share: f64) -> f64 {
    1.0 - Game::new(rules, &Pool::mixed(HONEST_ACCOUNTS, share), SILENCE).escapes(false)
}

/// Runs the part: `jobs` audits are played for each cell.
pub fn report(jobs: u64, seed: u64) -> Report {
    let mut report = Report::default();
    report.heading("Wrong endings of audits");
    report.paragraph(&format!(
        "Per audited job. {HONEST_ACCOUNTS} honest accounts of unequal stake, each silent {} of the time, and 40 \
         hostile accounts that share out the attackers' stake, know each other and all seats, and play the best \
         reply. `exact` is the multinomial formula, `played` are {jobs} audits with the chain's own draw and verdict.",
        percent(SILENCE)
    ));
    endings(&mut report, jobs, seed);
    appeal_sizes(&mut report);
    bought_appeals(&mut report);
    report
}

fn endings(report: &mut Report, jobs: u64, seed: u64) {
    let mut random = Random::new(seed, 1);
    let sets = [
        ("first draft (appeal: 7 seats)", Rules::first_draft()),
        (
            "chain's defaults (appeal: 31 seats, reward)",
            Rules::of_the_chain(),
        ),
    ];
    let mut table = Table::new(&[
        "what goes wrong",
        "rules",
        "10 % hostile: exact, played",
        "20 %",
        "33 %",
        "45 %",
    ]);
    let mut cells = 0;
    let mut agreeing = 0;
    let mut at_a_third = Vec::new();
    for aim in Aim::ALL {
        for (name, rules) in &sets {
            let mut row = vec![aim.text().to_string(), name.to_string()];
            for share in HOSTILE_SHARES {
                let pool = Pool::mixed(HONEST_ACCOUNTS, share);
                let game = Game::new(rules, &pool, SILENCE);
                let mut playout = Playout::new(&pool, rules, &game, SILENCE);
                let exact = aim.exact(&game);
                let played = aim.played(&game, &mut playout, jobs, &mut random);
                cells += 1;
                agreeing += usize::from(fits(played, exact, jobs));
                if share == 0.33 {
                    at_a_third.push(exact);
                }
                row.push(format!("{}, {}", percent(exact), percent(played)));
            }
            table.row(row);
        }
    }
    report.table(&table);
    report.claim(
        agreeing == cells,
        format!("Formulas and played audits agree ({agreeing} of {cells} cells)."),
    );
    // In the order of the rows: each aim with the first draft, then with the chain's rules.
    if let [_, smear, draft, party, _, escape, ..] = at_a_third[..] {
        report.claim(
            party < draft / 3.0 && smear < 0.02,
            format!(
                "With a third of the stake hostile, an honest worker that is audited is finally rejected in {} of \
                 cases at most, instead of {} in the first draft.",
                percent(party),
                percent(draft)
            ),
        );
        report.claim(
            escape < 0.1,
            format!(
                "With a third of the stake hostile, an audited cheat escapes in {} of cases, below one in ten.",
                percent(escape)
            ),
        );
    }
}

fn appeal_sizes(report: &mut Report) {
    report.paragraph(
        "The last committee decides, so its size is what counts. The chance that attackers who may appeal get an \
         honest worker rejected, by seats of the appeal (exact):",
    );
    let mut table = Table::new(&["seats on appeal", "10 % hostile", "20 %", "33 %", "45 %"]);
    for seats in [7, 11, 15, 21, 31] {
        let rules = Rules::of_the_chain().with_appeal_seats(seats);
        let mut row = vec![seats.to_string()];
        for share in HOSTILE_SHARES {
            let game = Game::new(&rules, &Pool::mixed(HONEST_ACCOUNTS, share), SILENCE);
            row.push(percent(game.wrongly_rejected(true)));
        }
        table.row(row);
    }
    report.table(&table);
}

/// A dispute and an appeal against a right result, as a wager: attackers vote honestly until the
/// last committee is drawn, and against the worker only if they hold it.
fn bought_appeals(report: &mut Report) {
    report.paragraph(
        "The same attack as a wager, in worst-case fees of the job (fee = worst case, seats paid 10 % of the fee): \
         attackers are requester, disputer and auditors at once, dispute a right result, vote honestly in the first \
         round, appeal, and vote against the worker only if they hold the last committee. They lose the bonds if \
         they do not (less what their own seats earn of them), and get refund and rewards if they do. The worker \
         loses its exposure, honest auditors the fines of their seats.",
    );
    let mut table = Table::new(&[
        "rules",
        "hostile",
        "wins",
        "attackers' mean result",
        "mean damage to honest ones",
        "damage per fee that the attack costs",
    ]);
    let mut all_lose = true;
    for (name, rules, rewards) in [
        ("first draft", Rules::first_draft(), 2.0),
        // The appellant's reward comes on top.
        ("chain's defaults", Rules::of_the_chain(), 3.0),
    ] {
        for share in HOSTILE_SHARES {
            let game = Game::new(&rules, &Pool::mixed(HONEST_ACCOUNTS, share), SILENCE);
            let wins = game.appeal.hostile_drawn_again();
            let pay = rules.pay(1.0, 10);
            let seats = f64::from(rules.first_seats() + rules.appeal_seats());
            let bonds = rules.dispute_bond(1.0, 10) + rules.appeal_bond(1.0, 10);
            let cost = (1.0 - wins) * (bonds - share * seats * pay);
            let result = wins * (1.0 + rewards) - cost;
            let fined =
                f64::from(rules.first_seats()) * (1.0 - share) * wins + game.appeal.outvoted_seats;
            let damage = wins * rules.exposure() + fined * rules.wrong_fine();
            if name == "chain's defaults" && share < 0.4 {
                all_lose &= result < 0.0 && (share > 0.25 || damage < cost);
            }
            table.row(vec![
                name.into(),
                percent(share),
                percent(wins),
                amount(result),
                amount(damage),
                amount(damage / cost.max(1e-9)),
            ]);
        }
    }
    report.table(&table);
    report.claim(
        all_lose,
        "Buying disputes and appeals against honest workers loses money up to a third of the stake, and up to a fifth \
         costs attackers more than it does damage."
            .into(),
    );
}
