use super::{
    containers::{SETTLES, SETTLING},
    *,
};
use crate::finding::Requested;

fn who() -> Who {
    Who::new(
        Arc::new(Rules::load(None).unwrap()),
        Arc::default(),
        Arc::default(),
        None,
    )
}

fn container(id: &str) -> Container {
    Container {
        runtime: "podman".to_owned(),
        id: id.to_owned(),
        ..Container::default()
    }
}

fn owner(who: &Who, tgid: u32, maker: Arc<Container>) -> Owner {
    let identity = Identity {
        container: Some(maker),
        version: None,
        exe_uid: None,
    };
    who.known().supervisors.insert((tgid, 1), identity);
    Owner {
        tgid,
        start: 1,
        ..Owner::default()
    }
}

fn enter(who: &Who, cgroup: u64, container: Container) {
    let entry = Cgroup::new(Some(Arc::new(container)), None);
    who.known().cgroups.insert(cgroup, entry);
}

#[test]
fn sources_of_the_same_id_are_joined_and_the_nearer_of_two_counts() {
    let who = who();
    enter(&who, 5, container("outer"));
    let mut words = container("outer");
    words.name = Some("web".to_owned());
    words.origin.insert("name".to_owned(), "conmon".to_owned());
    words.vouch(1000);
    let same = owner(&who, 1, Arc::new(words));
    let found = who.container_now(&same, 5).unwrap();
    assert_eq!(found.name.as_deref(), Some("web"));
    assert_eq!(found.origin["name"], "conmon");
    assert_eq!(
        found.vouched_by(),
        Some(1000),
        "the least trusted word counts"
    );

    // Podman in Podman: the inner one has no cgroup of its own.
    let place = Some(Arc::new(container("outer")));
    let inner = owner(&who, 2, joined(place, container("inner")));
    let found = who.container_now(&inner, 5).unwrap();
    assert_eq!(
        (found.id.as_str(), found.within.as_deref()),
        ("inner", Some("outer"))
    );

    // A maker elsewhere does not name what runs in another's cgroup.
    let other = owner(&who, 3, Arc::new(container("other")));
    assert_eq!(who.container_now(&other, 5).unwrap().id, "outer");
    let mut unit = container("web.service");
    "systemd".clone_into(&mut unit.runtime);
    enter(&who, 6, unit);
    assert_eq!(who.container_now(&other, 6).unwrap().id, "other");
    assert_eq!(who.container_now(&other, 7).unwrap().id, "other");
}

#[test]
fn a_user_whose_files_do_not_answer_has_no_more_of_them_read() {
    let who = who();
    let first = who.may_read(1000);
    assert!(first.is_some() && who.may_read(1000).is_some());
    let hung = Instant::now().checked_sub(HUNG * 2).unwrap();
    who.known().busy.insert(1000, hung);
    who.known().busy.insert(0, hung);
    assert!(who.may_read(1000).is_none());
    assert!(who.may_read(0).is_some() && who.may_read(1001).is_some());
    drop(first);
    assert!(who.may_read(1000).is_some(), "it answered after all");
}

#[test]
fn a_cgroup_that_was_looked_at_too_early_is_looked_at_again() {
    let who = who();
    assert_eq!(who.standing(5, false), Standing::New);
    enter(&who, 5, container("early"));
    assert_eq!(who.standing(5, false), Standing::Known);
    assert_eq!(
        who.standing(5, true),
        Standing::Early,
        "its first process is launched"
    );
    std::thread::sleep(SETTLING);
    assert_eq!(who.standing(5, false), Standing::Early);
    assert_eq!(who.standing(5, false), Standing::Known, "one looks");
    let mut settled = container("settled");
    settled.requested = Some(Requested::default());
    enter(&who, 6, settled);
    std::thread::sleep(SETTLING);
    assert_eq!(who.standing(6, true), Standing::Known);
    let settles = who.known().cgroups.get_mut(&5).map(|cgroup| {
        cgroup.first -= SETTLES;
    });
    assert!(settles.is_some());
    std::thread::sleep(SETTLING);
    assert_eq!(who.standing(5, false), Standing::Known, "not for ever");
}
