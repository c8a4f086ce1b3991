//! Chat templates that loop, or hoard memory.

use std::time::{Duration, Instant};

use genesisflow_engine::template::{ChatTemplate, Message, TEMPLATE_SOURCE};

use crate::measured::{run, turn};

/// Most memory for rendering, in bytes. The interpreter's steps pay for 64 MB.
const MEMORY: usize = 400 << 20;
/// Longest time for it; far above what is seen, because machines are busy.
const TIME: Duration = Duration::from_secs(20);

/// Each of these would take gigabytes, or hours, if only instructions were counted.
#[test]
fn templates_that_loop_or_hoard_memory_are_refused() {
    let _turn = turn();
    let doubled = "{% set ns = namespace(s='x' * 1000) %}\
        {% for i in range(14) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}";
    let nested = "{% set ns = namespace(l=[1]) %}\
        {% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}";
    let repeated = "{% set l = ['abcdefghij'] * 90000000 %}";
    let other = nested.replace("ns", "os");
    let sources = [
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}".to_owned(),
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}".into(),
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l|length }}{{ ns.l|list|length }}".into(),
        "{% set ns = namespace(l=[1]) %}{% set ns.me = ns %}{{ ns }}".into(),
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l * 9 %}{% endfor %}{{ ns.l|length }}".into(),
        "{% set l = [1] * 90000000 %}{{ l[1:80000000]|length }}{{ l[1:80000000]|join }}".into(),
        "{{ 'x' * 99999999 }}".into(),
        "{{ 'x' * 9999999999999 }}".into(),
        "{{ ('x' * 20000).replace('', 'x' * 20000) }}".into(),
        "{{ ('x' * 20000).replace('x', 'y' * 20000) }}".into(),
        "{{ ('x' * 20000)|replace('x', 'y' * 20000) }}".into(),
        "{{ ('x' * 20000).replace('x', 'y' * 20000)|length }}".into(),
        "{{ 'a\nb'|indent(999999999) }}".into(),
        "{{ '%999999999d'|format(1) }}".into(),
        "{{ '{:999999999}'.format(1) }}".into(),
        "{{ [1, 2]|batch(999999999, 'x')|list|length }}".into(),
        "{{ [1, 2]|slice(999999999)|list|length }}".into(),
        "{% set m %}{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}{% endset %}".into(),
        "{% macro m() %}{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}{% endmacro %}\
         {% set a = m() %}".into(),
        "{% filter upper %}{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}{% endfilter %}".into(),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".into(),
        format!("{doubled}{{% for i in range(99999) %}}{{{{ ns.s.find('y') }}}}{{% endfor %}}"),
        format!("{doubled}{{% for i in range(99999) %}}{{{{ 'y' in ns.s }}}}{{% endfor %}}"),
        format!("{doubled}{{{{ ns.s.split('x')|length }}}}"),
        format!("{doubled}{{{{ ns.s|list|length }}}}"),
        format!("{doubled}{{{{ ns.s.strip(ns.s) }}}}"),
        format!("{nested}{{{{ ns.l }}}}"),
        format!("{nested}{{{{ ns.l|tojson }}}}"),
        format!("{repeated}{{{{ l|join }}}}"),
        format!("{repeated}{{{{ 'x'.join(l)|length }}}}"),
        format!("{repeated}{{{{ 'x'.startswith(l) }}}}"),
        format!("{repeated}{{{{ l.count('x') }}}}"),
        format!("{repeated}{{{{ 'x' in l }}}}"),
        format!("{repeated}{{{{ l|tojson|length }}}}"),
        format!("{repeated}{{{{ l|sort|length }}}}"),
        format!("{repeated}{{{{ (l|map('upper')|list)|length }}}}"),
        format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{nested}{{{{ ns.l|string|length }}}}"),
        format!("{nested}{{% set a = ns.l %}}{{% set b = a ~ 'x' %}}{{{{ b|length }}}}"),
        format!("{nested}{{{{ [ns.l]|join(',')|length }}}}"),
        format!("{nested}{{{{ ','.join([ns.l])|length }}}}"),
        format!("{nested}{other}{{{{ ns.l == os.l }}}}"),
        format!("{nested}{other}{{{{ ns.l in [os.l] }}}}"),
        format!("{nested}{other}{{{{ [ns.l, os.l]|unique|list|length }}}}"),
        format!("{nested}{other}{{{{ [ns.l, os.l]|sort|length }}}}"),
        format!("{nested}{other}{{{{ {{ns.l: 1}}[os.l] }}}}"),
        format!("{nested}{other}{{{{ ns.l|join == os.l }}}}"),
        "{% if a %}".repeat(20_000),
        "x".repeat(TEMPLATE_SOURCE + 1),
    ];
    for (case, source) in sources.into_iter().enumerate() {
        let shown: String = source.chars().take(150).collect();
        let started = Instant::now();
        let measured = run(case as u64, || {
            ChatTemplate::new(source, vec![]).map(|_| ())
        });
        println!(
            "{:>5} ms {:>4} MB {shown}",
            started.elapsed().as_millis(),
            measured.peak >> 20
        );
        match measured.outcome {
            // For the reason meant, not for a mistake in the template.
            Ok(Err(error)) => assert!(
                [
                    "did not end within",
                    "repeat",
                    "recursion",
                    "too large",
                    "is not available",
                    "unexpected end",
                    "more than",
                ]
                .iter()
                .any(|reason| error.0.contains(reason)),
                "{shown}: {error}"
            ),
            Ok(Ok(())) => panic!("{shown} renders"),
            Err(panic) => panic!("{shown} panics: {panic}"),
        }
        assert!(measured.peak < MEMORY, "{shown}: {} bytes", measured.peak);
        assert!(started.elapsed() < TIME, "{shown}: {:?}", started.elapsed());
    }
}

/// The largest messages that may come, through what templates do with them.
#[test]
fn long_messages_render_within_the_steps() {
    let _turn = turn();
    let source = "{% for m in messages %}{{ '<' + m['role'] + '>' + m['content'] | trim + '</>' }}\
        {% if '</think>' in m.content %}{{ m.content.split('</think>')[-1].strip() }}{% endif %}\
        {{ m.content.replace('\r', '') }}{% endfor %}";
    let template = ChatTemplate::new(source.into(), vec![]).unwrap();
    let messages: Vec<Message> = (0..200)
        .map(|i| Message {
            role: "user".into(),
            content: format!("{i} ").repeat(600),
        })
        .collect();
    let measured = run(0, || template.render(&messages).unwrap().len());
    assert!(measured.outcome.unwrap() > 800_000);
    assert!(measured.peak < MEMORY);
}

/// Templates that look back at the whole conversation in every turn still end.
#[test]
fn long_conversations_render_within_the_steps() {
    let _turn = turn();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/chats/chats.json");
    let families: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let messages: Vec<Message> = (0..2001)
        .map(|turn| Message {
            role: ["user", "assistant"][turn % 2].into(),
            content: format!("turn {turn}"),
        })
        .collect();
    for (name, family) in families.as_object().unwrap() {
        let special = ["bos_token", "eos_token"]
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), family[key].as_str()?.to_owned())));
        let source = family["template"].as_str().unwrap().to_owned();
        let template = ChatTemplate::new(source, special.collect()).unwrap();
        let measured = run(0, || template.render(&messages));
        let rendered = measured.outcome.unwrap();
        let text = rendered.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains("turn 2000"), "{name}");
    }
}
