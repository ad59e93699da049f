use super::*;
use crate::finding::Verdict;

#[test]
fn the_catalogue_is_valid() {
    let rules = Rules::load(None).unwrap();
    let crun = rules.by_basename(b"crun").unwrap();
    assert_eq!(&*rules.get(crun.id).unwrap().name, "crun");
    assert!(crun.runtime);
    assert!(rules.by_basename(b"bash").is_none());
    assert!(rules.get(0).is_none());
}

#[test]
fn a_users_rule_replaces_the_built_in_one() {
    let mut rules = Rules::load(None).unwrap();
    let before = rules.supervisors().len();
    let text = "[[supervisor]]\nname = \"crun\"\nexe = [\"/opt/*/my-crun\"]\n";
    rules.add(text, "user.toml").unwrap();
    assert_eq!(rules.supervisors().len(), before);
    assert!(rules.by_basename(b"crun").is_none());
    assert!(rules.by_basename(b"my-crun").is_some());
}

#[test]
fn mistakes_name_the_place_and_the_remedy() {
    let add = |text: &str| {
        let error = Rules::default().add(text, "user.toml").unwrap_err();
        error.to_string()
    };
    let error = add("[[supervisor]]\nname = \"x\"\nexes = [\"a\"]\n");
    assert!(
        error.contains("user.toml") && error.contains("line 3"),
        "{error}"
    );
    let error = add("[[supervisor]]\nname = \"x\"\n");
    assert!(error.contains("\"x\": it matches nothing"), "{error}");
    let error = add("[[supervisor]]\nname = \"x\"\nexe = [\"a\"]\n\
         expect = [{ capability = \"cap_foo\", layer = \"commoncap\" }]\n");
    assert!(
        error.contains("no capability is called \"cap_foo\""),
        "{error}"
    );
    let error = add("[[supervisor]]\nname = \"x\"\nexe = [\"a\"]\n\
         expect = [{ capability = \"setuid\", layer = \"kernel\" }]\n");
    assert!(error.contains("no layer is called \"kernel\""), "{error}");
}

#[test]
fn sealed_copies_have_the_rules_of_their_programs() {
    let rules = Rules::load(None).unwrap();
    for (copy, name) in [
        ("memfd:crun_cloned:/proc/self/exe", "crun"),
        ("memfd:runc_cloned:/proc/self/exe", "runc"),
        // Podman's and Buildah's, of a step with chroot isolation.
        ("memfd:buildah-chroot-exec", "buildah"),
    ] {
        let found = rules.by_basename(copy.as_bytes());
        let rule = found.and_then(|found| rules.get(found.id));
        assert_eq!(rule.map(|rule| &*rule.name), Some(name), "{copy}");
    }
}

#[test]
fn paths_and_cgroups_distinguish_programs_of_one_name() {
    let mut rules = Rules::load(None).unwrap();
    let text = "[[supervisor]]\nname = \"ours\"\nexe = [\"/opt/*/crun\"]\n\
         [[supervisor]]\nname = \"pods\"\nexe = [\"runc\"]\ncgroup = [\"*/kubepods*\"]\n\
         [[supervisor]]\nname = \"scope\"\ncgroup = [\"*/sandbox-*.scope\"]\n";
    assert!(!rules.are_qualified());
    rules.add(text, "user.toml").unwrap();
    assert!(rules.are_qualified());
    let named = |name: &str, path: &str, cgroup: Option<&str>| {
        let id = rules.named(name.as_bytes(), Some(path), cgroup, Some(0));
        rules.get(id).map(|rule| rule.name.to_string())
    };
    assert_eq!(named("crun", "/opt/a/b/crun", None).unwrap(), "ours");
    assert_eq!(named("crun", "/usr/bin/crun", None).unwrap(), "crun");
    let pod = Some("/kubepods.slice/x");
    assert_eq!(named("runc", "/usr/bin/runc", pod).unwrap(), "pods");
    assert_eq!(named("runc", "/usr/bin/runc", None).unwrap(), "runc");
    assert_eq!(named("bash", "/bin/bash", pod), None);
    assert!(
        rules.by_basename(b"crun").unwrap().runtime,
        "crun's all the same"
    );
    let scope = rules.of_cgroup("/user.slice/sandbox-7.scope");
    assert_eq!(&*rules.get(scope).unwrap().name, "scope");
    assert_eq!(rules.of_cgroup("/user.slice"), 0);

    let add = |text: &str| {
        Rules::default()
            .add(text, "user.toml")
            .unwrap_err()
            .to_string()
    };
    let error = add("[[supervisor]]\nname = \"x\"\nexe = [\"/opt/cr*\"]\n");
    assert!(error.contains("cannot have a glob"), "{error}");
    let error = add("[[supervisor]]\nname = \"x\"\ncgroup = [\"[\"]\n");
    assert!(error.contains("is no glob"), "{error}");
}

#[test]
fn a_rule_keeps_its_number_wherever_it_stands_and_that_of_one_that_is_gone_is_free_for_none() {
    let load = |names: &[&str]| {
        let mut rules = Rules::default();
        for name in names {
            let text = format!("[[supervisor]]\nname = \"{name}\"\nexe = [\"{name}\", \"same\"]\n");
            rules.add(&text, "user.toml").unwrap();
        }
        rules
    };
    let before = load(&["a", "b", "c"]);
    assert_eq!(before.names(), ["a", "b", "c"]);
    let after = load(&["d", "c", "a"]).numbered(&before.names());
    let number = |rules: &Rules, exe: &str| rules.by_basename(exe.as_bytes()).unwrap().id;
    for exe in ["a", "c"] {
        assert_eq!(number(&after, exe), number(&before, exe), "{exe}");
        assert_eq!(
            after.named(exe.as_bytes(), Some(""), None, Some(0)),
            number(&before, exe)
        );
    }
    assert_eq!(number(&after, "d"), 4);
    assert!(after.by_basename(b"b").is_none());
    assert_eq!(
        &*after.get(2).unwrap().name,
        "b",
        "what it counted is its own"
    );
    assert_eq!(&*after.get(4).unwrap().name, "d");
    assert!(after.get(5).is_none() && after.get(0).is_none());
    // The later rule counts, whatever its number.
    assert_eq!(number(&after, "same"), number(&before, "a"));
    assert_eq!(after.comms()[b"same".as_slice()], number(&before, "a"));
    assert_eq!(after.names(), ["a", "b", "c", "d"]);
    let again = load(&["b", "d"]).numbered(&after.names());
    assert_eq!(number(&again, "b"), 2);
    assert_eq!(again.names(), after.names());
    let twice = ["a".to_owned(), "a".to_owned()];
    assert_eq!(number(&load(&["a"]).numbered(&twice), "a"), 1);
}

#[test]
fn a_rule_means_the_executables_of_those_whom_it_trusts() {
    let mut rules = Rules::load(None).unwrap();
    let text = "[[supervisor]]\nname = \"openshell\"\nexe = [\"openshell-sandbox\"]\n\
         owner = [\"root\", \"900-999\"]\n";
    rules.add(text, "user.toml").unwrap();
    assert!(rules.are_qualified());
    let named = |path: Option<&str>, owner: Option<u32>| {
        let id = rules.named(b"openshell-sandbox", path, None, owner);
        rules.get(id).map(|rule| rule.name.to_string())
    };
    let path = Some("/home/eve/openshell-sandbox");
    assert_eq!(named(path, Some(0)).unwrap(), "openshell");
    assert_eq!(named(path, Some(950)).unwrap(), "openshell");
    assert_eq!(named(path, Some(65_534)), None);
    assert_eq!(
        named(None, Some(65_534)),
        None,
        "gone before it was looked at"
    );
    assert_eq!(named(None, Some(0)).unwrap(), "openshell");
    assert_eq!(named(path, None), None, "nobody knows whose it is");

    let add = |rule: &str| {
        let text = format!("[[supervisor]]\nname = \"x\"\n{rule}\n");
        let error = Rules::default().add(&text, "user.toml").unwrap_err();
        error.to_string()
    };
    for owner in ["eve", "9-3", "", "-1"] {
        let error = add(&format!("exe = [\"a\"]\nowner = [{owner:?}]"));
        assert!(error.contains("neither \"root\" nor a user id"), "{error}");
    }
    let error = add("cgroup = [\"*\"]\nowner = [\"root\"]");
    assert!(error.contains("owner needs exe"), "{error}");
    let error = add("exe = [\"a\"]\ntree = false\nowner = [\"root\"]");
    assert!(error.contains("tree = false"), "{error}");
}

#[test]
fn labels_are_few_and_distinguished() {
    let add = |labels: &str| {
        let mut rules = Rules::default();
        let text = format!("[container]\nlabels = [{labels}]\n");
        let added = rules.add(&text, "user.toml");
        (added.map_err(|error| error.to_string()), rules)
    };
    let (added, rules) = add("\"a.b/c\", \"d\", \"d\"");
    assert_eq!(added, Ok(()));
    assert_eq!(rules.labels(), ["a.b/c", "d"]);
    assert_eq!(as_label("a.b/c"), "label_a_b_c");
    let same = add("\"a.b\", \"a-b\"").0.unwrap_err();
    assert!(
        same.contains("the same label of a metric: remove one"),
        "{same}"
    );
    assert!(add("\"\"").0.unwrap_err().contains("needs a name"));
    let many: Vec<_> = (0..17).map(|n| format!("\"l{n}\"")).collect();
    assert!(
        add(&many.join(", "))
            .0
            .unwrap_err()
            .contains("more than 16")
    );
}

#[test]
fn who_owns_no_tree_is_known_by_its_deed_alone() {
    let rules = Rules::load(None).unwrap();
    assert!(
        rules.by_basename(b"systemd").is_none(),
        "it would own the host"
    );
    assert_eq!(
        rules.named(b"systemd", Some("/usr/lib/systemd/systemd"), None, Some(0)),
        0
    );
    let systemd = rules
        .get(rules.by_deed("systemd-executor").unwrap())
        .unwrap();
    assert_eq!(&*systemd.name, "systemd");
    assert!(rules.by_deed("crun").is_none() && rules.by_deed("bash").is_none());
    let passt = rules.get(rules.by_deed("pasta.avx2").unwrap()).unwrap();
    assert!(passt.confines_itself && passt.remedy.is_some());
    let add = |text: &str| {
        Rules::default()
            .add(text, "user.toml")
            .unwrap_err()
            .to_string()
    };
    let error = add("[[supervisor]]\nname = \"x\"\nexe = [\"/a/b\"]\ntree = false\n");
    assert!(error.contains("give exe = [\"basename\"]"), "{error}");
}

#[test]
fn a_note_stands_under_what_it_is_true_of() {
    let mut rules = Rules::default();
    let text = "[[supervisor]]\nname = \"x\"\nexe = [\"x\"]\nnote = \"any\"\n\
         note_fatal = \"died\"\nnote_degraded = \"runs\"\nself = true\n";
    rules.add(text, "user.toml").unwrap();
    let rule = &rules.supervisors()[0];
    assert!(rule.confines_itself);
    let notes = |verdict| rule.notes(verdict).collect::<Vec<_>>();
    assert_eq!(notes(Verdict::Fatal), ["any", "died"]);
    assert_eq!(notes(Verdict::Degraded), ["any", "runs"]);
    assert_eq!(notes(Verdict::Pending), ["any"]);
    assert!(notes(Verdict::Harmless).is_empty() && notes(Verdict::Ok).is_empty());
}

#[test]
fn an_expected_denial_is_distinguished_from_others() {
    let rules = Rules::load(None).unwrap();
    let id = rules.by_basename(b"openshell-sandbox").unwrap().id;
    assert!(rules.expected(id, 7, Layer::Commoncap).is_some());
    assert!(rules.expected(id, 7, Layer::Apparmor).is_none());
    assert!(rules.expected(id, 8, Layer::Commoncap).is_none());
}
