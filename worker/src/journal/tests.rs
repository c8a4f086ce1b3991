use super::*;
use genesisflow_primitives::{ResultClaim, Usage, H256};
use std::sync::atomic::Ordering;

const OWNER: Owner = Owner {
    genesis: [1; 32],
    account: [2; 32],
};

fn delivery() -> Delivery {
    Delivery {
        output: b"forty-two".to_vec(),
        evidence: vec![4, 8],
        claim: ResultClaim {
            usage: Usage {
                input: 3,
                output: 2,
            },
            fault: None,
            trace: H256([7; 32]),
            engine_version: 1,
        },
    }
}

fn submitted() -> Record {
    Record::new(
        [5; 32],
        Stage::Submitted {
            delivery: delivery(),
            tx: SignedTx {
                bytes: vec![0xab; 200],
                nonce: 3,
                valid_until: 70,
            },
        },
    )
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let head = Head {
        number: 12,
        hash: [3; 32],
    };
    let record = submitted();
    {
        let journal = Journal::open(dir.path(), OWNER).unwrap();
        journal.put(8, &record).unwrap();
        journal.set_head(head).unwrap();
    }
    let journal = Journal::open(dir.path(), OWNER).unwrap();
    assert_eq!(journal.get(8).unwrap(), Some(record));
    assert_eq!(journal.get(9).unwrap(), None);
    assert_eq!(journal.head().unwrap(), Some(head));
    assert_eq!(journal.unfinished().unwrap().len(), 1);
}

#[test]
fn another_chain_and_another_account_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Journal::open(dir.path(), OWNER).unwrap());

    let other_chain = Owner {
        genesis: [9; 32],
        ..OWNER
    };
    let error = Journal::open(dir.path(), other_chain).unwrap_err();
    assert_eq!(error.kind(), Kind::WrongChain);
    assert!(error.to_string().contains(&hex::encode([9; 32])), "{error}");

    let other_account = Owner {
        account: [9; 32],
        ..OWNER
    };
    let error = Journal::open(dir.path(), other_account).unwrap_err();
    assert_eq!(error.kind(), Kind::Key);
}

#[test]
fn a_second_worker_on_the_same_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Journal::open(dir.path(), OWNER).unwrap();
    let error = Journal::open(dir.path(), OWNER).unwrap_err();
    assert_eq!(error.kind(), Kind::Journal);
    assert!(error.to_string().contains("another worker"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_that_names_the_journal() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Journal::open(&file.path().join("below"), OWNER).unwrap_err();
    assert_eq!(error.kind(), Kind::Journal);
    assert!(error.to_string().contains("journal.redb"), "{error}");
    assert!(error.to_string().contains("--data-dir"), "{error}");
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.redb");
    std::fs::write(&path, "somebody's poem\n".repeat(400)).unwrap();
    let error = Journal::open(dir.path(), OWNER).unwrap_err();
    assert_eq!(error.kind(), Kind::Journal);
    assert!(std::fs::read_to_string(&path)
        .unwrap()
        .starts_with("somebody's poem"));
}

/// Whatever happens to the file, what is read from it is what was written, or
/// nothing is read and the operator is told; never a part of it in silence.
#[test]
fn a_damaged_journal_is_whole_or_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.redb");
    let mut case = Case::new([5; 32], Role::Auditor);
    let ballot = genesisflow_primitives::audit::Ballot {
        digest: H256::repeat_byte(4),
        valid: true,
    };
    case.ballots.push(CastBallot {
        round: 0,
        seed: H256::repeat_byte(3),
        ballot,
        salt: H256::repeat_byte(5),
    });
    let killed = {
        let journal = Journal::open(dir.path(), OWNER).unwrap();
        for job in 0..40 {
            journal.put(job, &submitted()).unwrap();
            journal.put_case(job, &case).unwrap();
        }
        // As a kill leaves it.
        std::fs::read(&path).unwrap()
    };
    let intact = std::fs::read(&path).unwrap();
    let used = intact.iter().rposition(|byte| *byte != 0).unwrap();
    let flipped = (0..60).map(|turn| {
        let mut bytes = intact.clone();
        bytes[16 + turn * (used - 16) / 60] ^= 0x10;
        bytes
    });
    let cut = [&intact, &killed]
        .into_iter()
        .flat_map(|file| (1..20).map(|turn| file[..file.len() * turn / 20].to_vec()));
    let (mut whole, mut aside) = (0, 0);
    for bytes in flipped.chain(cut) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("journal.redb"), &bytes).unwrap();
        let journal = Journal::open(dir.path(), OWNER).unwrap();
        let (records, cases) = (journal.records().unwrap(), journal.cases().unwrap());
        if std::fs::read_dir(dir.path()).unwrap().count() == 1 {
            whole += 1;
            assert_eq!((records.len(), cases.len()), (40, 40));
            assert!(cases.iter().all(|(_, found)| found.ballots == case.ballots));
        } else {
            aside += 1;
            assert_eq!((records.len(), cases.len()), (0, 0));
        }
        // It can be used.
        journal.put(7, &submitted()).unwrap();
    }
    assert!(whole > 0 && aside > 20, "{whole} whole, {aside} put aside");
}

#[test]
fn a_journal_set_aside_makes_room_for_a_fresh_one() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), OWNER).unwrap();
    journal.put(1, &submitted()).unwrap();
    let aside = journal.set_aside().unwrap();
    assert!(aside.is_file());
    let fresh = Journal::open(dir.path(), OWNER).unwrap();
    assert_eq!(fresh.records().unwrap(), []);
}

#[test]
fn pruning_forgets_the_oldest_finished_jobs_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), OWNER).unwrap();
    let done = Record::new(
        [5; 32],
        Stage::Done {
            outcome: Outcome::Delivered,
        },
    );
    journal.put(0, &submitted()).unwrap();
    for job in 1..=4 {
        journal.put(job, &done).unwrap();
    }
    journal.prune_to(2).unwrap();
    let left: Vec<u64> = journal
        .records()
        .unwrap()
        .iter()
        .map(|(job, _)| *job)
        .collect();
    assert_eq!(left, [0, 3, 4]);
}

#[test]
fn a_full_disk_is_an_error_and_the_old_record_stands() {
    let (disk, full) = full_disk::disk();
    let journal = Journal::on_disk(disk, OWNER);
    let claimed = Record::new([5; 32], Stage::Claimed);
    journal.put(1, &claimed).unwrap();

    full.store(true, Ordering::SeqCst);
    let error = journal.put(1, &submitted()).unwrap_err();
    assert_eq!(error.kind(), Kind::Journal);
    assert!(error.to_string().contains("/full/journal.redb"), "{error}");
    assert!(error.to_string().contains("free space"), "{error}");
    assert!(error.may_pass());
    assert!(journal.get(1).unwrap_err().may_pass());

    full.store(false, Ordering::SeqCst);
    journal.try_to_write().unwrap();
    assert_eq!(journal.get(1).unwrap(), Some(claimed));
}

#[test]
fn open_audits_are_known_while_the_disk_is_full() {
    let (disk, full) = full_disk::disk();
    let journal = Journal::on_disk(disk, OWNER);
    let case = Case::new([5; 32], Role::Auditor);
    journal.put_case(1, &case).unwrap();
    full.store(true, Ordering::SeqCst);
    journal.try_to_write().unwrap_err();
    assert_eq!(journal.case(1).unwrap(), Some(case));
    assert_eq!(journal.case(2).unwrap(), None);
}

#[test]
fn a_delivered_job_is_watched_from_the_same_write_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), OWNER).unwrap();
    let outcome = Outcome::Delivered;
    let done = Record::new([5; 32], Stage::Done { outcome });
    journal.put_delivered(8, &done).unwrap();
    assert_eq!(journal.get(8).unwrap(), Some(done.clone()));
    let (job, mut case) = journal.open_cases().unwrap().remove(0);
    assert_eq!((job, case.role, case.model), (8, Role::Author, [5; 32]));

    // What the audit has come to is not begun again.
    case.end = Some(CaseEnd::Paid);
    journal.put_case(8, &case).unwrap();
    journal.put_delivered(8, &done).unwrap();
    assert_eq!(journal.case(8).unwrap(), Some(case));
    assert!(journal.open_cases().unwrap().is_empty());
}

#[test]
fn pruning_keeps_every_case_that_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), OWNER).unwrap();
    for job in 0..6 {
        let mut case = Case::new([5; 32], Role::Auditor);
        case.end = (job > 1).then_some(CaseEnd::Upheld);
        journal.put_case(job, &case).unwrap();
    }
    journal.prune_to(1).unwrap();
    let left: Vec<u64> = journal.cases().unwrap().iter().map(|case| case.0).collect();
    assert_eq!(left, [0, 1, 5]);
}

#[test]
fn a_journal_from_before_audits_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    {
        let journal = Journal::open(dir.path(), OWNER).unwrap();
        journal.put(8, &submitted()).unwrap();
        journal
            .write(|txn| {
                txn.delete_table(CASES)?;
                Ok(())
            })
            .unwrap();
    }
    let journal = Journal::open_existing(dir.path()).unwrap().unwrap();
    assert!(journal.cases().unwrap().is_empty());
    assert_eq!(journal.case(8).unwrap(), None);
    assert_eq!(journal.records().unwrap().len(), 1);
}
