//! ACLs whose lines stand apart.

use super::{Findings, Lint, Proxy, begins};

pub(super) const LINT: Lint = Lint {
    name: "acl-parts",
    doc: "Lines of one name make one ACL, which holds as soon as one of them does. Where other lines stand between them, \
          that is seldom meant.",
    usual: false,
    example: "acl staff src 10.0.0.0/8\nhttp-request deny unless staff\nacl staff path_beg /staff",
    better: "acl staff src 10.0.0.0/8\nacl staff-pages path_beg /staff\nhttp-request deny if staff-pages !staff",
    look,
};

fn look(proxy: &Proxy<'_>, findings: &mut Findings) {
    let mut runs: Vec<&str> = Vec::new();
    for line in proxy.lines() {
        let name = match line.words.get(1) {
            Some(name) if begins(line, &["acl"]) => name.text.as_str(),
            _ => "",
        };
        if runs.last() == Some(&name) {
            continue;
        }
        if !name.is_empty() && runs.contains(&name) {
            let message = format!("this line makes the acl '{name}' further up hold more often");
            let help =
                "give it a name of its own, or write both lines together if either is enough";
            findings.add(line.span, message, help);
        }
        runs.push(name);
    }
}
