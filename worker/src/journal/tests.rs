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
    let journal = Journal::on_backend(disk, OWNER);
    let claimed = Record::new([5; 32], Stage::Claimed);
    journal.put(1, &claimed).unwrap();

    full.store(true, Ordering::SeqCst);
    let error = journal.put(1, &submitted()).unwrap_err();
    assert_eq!(error.kind(), Kind::Journal);
    assert!(error.to_string().contains("/full/journal.redb"), "{error}");
    assert!(error.to_string().contains("free space"), "{error}");
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
