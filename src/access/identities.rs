//! The file of identities: who may call, and how each caller authenticates.
//!
//! ```toml
//! [[identities]]
//! name = "importer"                          # unique; in the journal, the log and errors
//! roles = ["publisher"]                      # subscriber, publisher, operator
//! feeds = ["usgs"]                           # for a publisher: the feeds it may publish for
//! minerals = ["gallium", "rare_earths"]      # not set: any; a group has all its parts
//! sources = ["USGS"]                         # of its reports; not set: any
//! others = false                             # true: it may also change updates of other feeds
//! token_sha256 = ["9f86d0…"]                 # of tokens; two while one replaces the other
//! certificates = ["spiffe://mine/importer"]  # URI or DNS names of client certificates; no others
//! claims = ["lodewatch-importer"]            # values of the roles claim of JSON web tokens
//! ```

use super::certificate_name;
use super::identity::{Identity, PublishGrant, Revocation};
use super::methods::Role;
use super::token::TokenHash;
use lodewatch_core::domain::slug::ALLOWED;
use lodewatch_core::domain::{Mineral, Slug};
use lodewatch_toml_reader::{Collector, Node, Problem, Problems, Table, parse};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable};

/// The limit keeps authentication fast: a token is compared with those of every identity.
const IDENTITIES_MAX: usize = 1000;

/// Every identity of a file. Holds hashes, no secrets.
#[derive(Debug, Default)]
pub struct Identities {
    all: Vec<Arc<Identity>>,
    /// How each identity authenticates, in the same order.
    credentials: Vec<CredentialSet>,
    /// Each with the index of its identity.
    tokens: Vec<(TokenHash, u32)>,
    certificates: BTreeMap<String, usize>,
    claims: BTreeMap<String, usize>,
}

/// How an identity authenticates.
#[derive(Debug)]
struct CredentialSet {
    tokens: Vec<TokenHash>,
    certificates: Vec<String>,
    claims: Vec<String>,
}

impl CredentialSet {
    fn includes(&self, other: &Self) -> bool {
        fn has_all<T: PartialEq>(held: &[T], required: &[T]) -> bool {
            required.iter().all(|one| held.contains(one))
        }
        has_all(&self.tokens, &other.tokens)
            && has_all(&self.certificates, &other.certificates)
            && has_all(&self.claims, &other.claims)
    }
}

impl Identities {
    /// Parses a file.
    ///
    /// # Errors
    ///
    /// Every problem of the file, or the first place at which it is not TOML. Values are not
    /// quoted, except names, because one may be a token that was written there by mistake.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let values = parse(text).map_err(|error| Problems::from(Problem::from(error)))?;
        let collector = Collector::without_values();
        let mut root = Table::root(values, &collector);
        let tables = root.tables("identities");
        if tables.len() > IDENTITIES_MAX {
            root.reject("identities", format!("has more than {IDENTITIES_MAX} identities"));
        }
        drop(root);
        let mut known = Self::default();
        for table in tables {
            known.add(table);
        }
        collector.finish(known)
    }

    fn add(&mut self, mut table: Table<'_>) {
        let index = self.all.len();
        let name = table.required("name").and_then(|node| {
            let name = node.read_string(parse_slug)?;
            if self.all.iter().any(|one| *one.name == *name.as_str()) {
                node.reject(format!("{:?} is listed twice", name.as_str()));
            }
            Some(name)
        });
        let roles = table.required("roles").map_or_else(Vec::new, |node| {
            if node.is_empty_list() {
                node.reject("must have at least one of subscriber, publisher, operator");
            }
            node.read_list(|text| {
                Role::parse(text).ok_or("must be subscriber, publisher or operator")
            })
        });
        let grant = grant(&mut table, roles.contains(&Role::Publisher));
        let credentials = self.credentials(&mut table, index);
        let name = name.map_or_else(|| Arc::from(""), |name| Arc::from(name.as_str()));
        let revocation = Revocation::default();
        let identity = Identity { name, roles, grant, is_authenticated: true, revocation };
        self.all.push(Arc::new(identity));
        self.credentials.push(credentials);
    }

    fn credentials(&mut self, table: &mut Table<'_>, index: usize) -> CredentialSet {
        let mut tokens = Vec::new();
        let [token_sha256, certificates, claims] =
            ["token_sha256", "certificates", "claims"].map(|key| parts(table, key));
        if token_sha256.is_empty() && certificates.is_empty() && claims.is_empty() {
            table.reject("", "needs at least one of token_sha256, certificates and claims");
        }
        for part in token_sha256 {
            let hash =
                part.read(|text| TokenHash::parse(text).ok_or("must be 64 hexadecimal digits"));
            let Some(hash) = hash else { continue };
            if self.tokens.iter().any(|(one, _)| *one == hash) {
                part.reject("is listed twice");
            }
            self.tokens.push((hash, u32::try_from(index).unwrap_or(u32::MAX)));
            tokens.push(hash);
        }
        let certificates =
            add_names(&mut self.certificates, &certificates, index, certificate_name::parse);
        let claims = add_names(&mut self.claims, &claims, index, |text| {
            if text.is_empty() { Err("must not be empty") } else { Ok(text.to_owned()) }
        });
        CredentialSet { tokens, certificates, claims }
    }

    /// Replaces the identities of `before`: those in both stay connected. Returns the
    /// revocations of those that are not, to be revoked once these are in force.
    pub fn replace(&mut self, before: &Self) -> Vec<Revocation> {
        let mut revoked = Vec::new();
        for (identity, credentials) in before.all.iter().zip(&before.credentials) {
            let mut these = self.all.iter().zip(&self.credentials);
            let same = these.position(|(one, other)| {
                one.name == identity.name
                    && one.roles == identity.roles
                    && one.grant == identity.grant
                    && other.includes(credentials)
            });
            match same.and_then(|at| self.all.get_mut(at)) {
                Some(kept) => Arc::make_mut(kept).revocation = identity.revocation.clone(),
                None => revoked.push(identity.revocation.clone()),
            }
        }
        revoked
    }

    /// The identity of a token. Takes the same time for every token, known or not.
    pub fn by_token(&self, token: &str) -> Option<Arc<Identity>> {
        let sent = TokenHash::of(token);
        let mut found = u32::MAX;
        for (hash, index) in &self.tokens {
            let is: Choice = sent.ct_eq(hash);
            found.conditional_assign(index, is);
        }
        self.all.get(usize::try_from(found).ok()?).cloned()
    }

    /// The identity whose certificate has one of these names; of several, that of the first name.
    pub fn by_certificate(&self, names: &[String]) -> Option<Arc<Identity>> {
        let index = names.iter().find_map(|name| self.certificates.get(name))?;
        self.all.get(*index).cloned()
    }

    /// The first identity of the file that has one of these claims; its name gets the subject after
    /// a slash.
    pub fn by_claims(&self, subject: &str, claims: &[String]) -> Option<Arc<Identity>> {
        let index = claims.iter().filter_map(|claim| self.claims.get(claim)).min()?;
        let entry = self.all.get(*index)?;
        let name = Arc::from(format!("{}/{subject}", entry.name));
        Some(Arc::new(Identity { name, ..(**entry).clone() }))
    }
}

fn parts<'c>(table: &mut Table<'c>, key: &'static str) -> Vec<Node<'c>> {
    table.optional(key).map_or_else(Vec::new, |node| node.parts())
}

/// Adds names that must be unique in the file; returns them.
fn add_names(
    known: &mut BTreeMap<String, usize>,
    parts: &[Node<'_>],
    index: usize,
    parse: fn(&str) -> Result<String, &'static str>,
) -> Vec<String> {
    let names = parts.iter().filter_map(|part| {
        part.read_string(|text| {
            let name = parse(text)?;
            match known.insert(name.clone(), index) {
                Some(_) => Err("is listed twice"),
                None => Ok(name),
            }
        })
    });
    names.collect()
}

fn grant(table: &mut Table<'_>, is_publisher: bool) -> PublishGrant {
    let feeds = parts(table, "feeds");
    let minerals = table.optional("minerals");
    let sources = table.optional("sources");
    let others = table.optional("others").and_then(|node| node.boolean()).unwrap_or_default();
    if is_publisher && feeds.is_empty() {
        table.reject("feeds", "must name the feeds that a publisher may publish for");
    }
    let has_grant = !feeds.is_empty() || minerals.is_some() || sources.is_some() || others;
    if !is_publisher && has_grant {
        table.reject("", "has feeds, minerals, sources or others, which only a publisher has");
    }
    let sources = sources.map(|node| node.read_list(parse_slug).into_iter().collect());
    let minerals = minerals.map(|node| {
        let groups = node.read_list(|text| {
            Mineral::parse(text).ok_or("must be a mineral or group of the catalogue")
        });
        let is_granted = |mineral: &Mineral| groups.iter().any(|group| mineral.is_within(*group));
        Mineral::all().filter(is_granted).collect()
    });
    let feeds: BTreeSet<Slug> =
        feeds.iter().filter_map(|part| part.read_string(parse_slug)).collect();
    PublishGrant { feeds, minerals, sources, others }
}

fn parse_slug(text: &str) -> Result<Slug, String> {
    Slug::parse(text).ok_or_else(|| format!("must be {ALLOWED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_found_by_its_credentials_only() {
        let (token, other) = (TokenHash::of("secret"), TokenHash::of("new secret"));
        let text = format!(
            "[[identities]]\nname = \"desk\"\nroles = [\"operator\"]\ntoken_sha256 = [\"{token}\", \"{other}\"]\n\
             [[identities]]\nname = \"importer\"\nroles = [\"publisher\"]\nfeeds = [\"usgs\"]\nminerals = [\"REE\"]\n\
             certificates = [\"spiffe://mine/importer\"]\nclaims = [\"import\"]\n"
        );
        let known = Identities::parse(&text).unwrap();
        let name = |found: Option<Arc<Identity>>| found.map(|one| one.name.to_string());
        for token in ["secret", "new secret"] {
            assert_eq!(name(known.by_token(token)).as_deref(), Some("desk"));
        }
        assert_eq!(name(known.by_token("secre")), None);
        assert_eq!(name(known.by_token("")), None);
        let certificate = |name: &str| known.by_certificate(&["x".into(), name.into()]);
        assert_eq!(name(certificate("spiffe://mine/importer")).as_deref(), Some("importer"));
        assert_eq!(name(certificate("spiffe://mine/importer/x")), None);
        let by_claims = known.by_claims("alice", &["other".into(), "import".into()]).unwrap();
        assert_eq!(&*by_claims.name, "importer/alice");
        assert_eq!(known.by_claims("alice", &["other".into()]), None);
        let minerals = by_claims.grant.minerals.as_ref().unwrap();
        assert!(minerals.contains(&Mineral::parse("rare_earths_magnet").unwrap()));
        assert!(!minerals.contains(&Mineral::parse("gallium").unwrap()));
    }

    #[test]
    fn an_identity_with_fewer_rights_or_replaced_credentials_must_authenticate_again() {
        let (first, second) = (TokenHash::of("first"), TokenHash::of("second"));
        let file = |roles: &str, tokens: &str| {
            let entry = format!(
                "[[identities]]\nname = \"desk\"\nroles = [{roles}]\ntoken_sha256 = [{tokens}]\n"
            );
            Identities::parse(&entry).unwrap()
        };
        let (one, two) = (format!("\"{first}\""), format!("\"{second}\""));
        let both = format!("{one}, {two}");
        let subscriber = "\"subscriber\"";
        let ended = |mut now: Identities, before: &Identities| {
            let ended = now.replace(before).len();
            let kept = now.all.iter().zip(&before.all);
            let kept = kept.filter(|(now, before)| {
                before.revocation.revoke();
                now.revocation.is_revoked()
            });
            (ended, kept.count())
        };
        let kept = |roles, tokens: &str| ended(file(roles, tokens), &file(subscriber, &one));
        assert_eq!(kept(subscriber, &one), (0, 1));
        assert_eq!(kept(subscriber, &both), (0, 1));
        assert_eq!(kept(subscriber, &two), (1, 0));
        assert_eq!(kept("\"operator\"", &one), (1, 0));
        assert_eq!(ended(Identities::default(), &file(subscriber, &one)), (1, 0));
    }

    #[test]
    fn every_problem_of_a_file_is_reported_at_once() {
        let text = "[[identities]]\nname = \"a b\"\nroles = []\ntoken_sha256 = [\"12\"]\n\
            [[identities]]\nname = \"x\"\nroles = [\"publisher\", \"root\"]\nminerals = [\"unobtainium\"]\n\
            [[identities]]\nname = \"x\"\nroles = [\"subscriber\"]\nfeeds = [\"f\"]\ncertificates = [\"n\", \"n\", \"\"]\n";
        insta::assert_snapshot!(Identities::parse(text).unwrap_err().to_string());
        let unknown = "[[identities]]\nname = \"a\"\nroles = [\"operator\"]\ntokens = [\"x\"]";
        assert!(Identities::parse(unknown).unwrap_err().to_string().contains("tokens"));
        let kinds = "[[identities]]\nname = 7\nroles = [\"publisher\"]\nfeeds = [1]\nothers = \"true\"\nclaims = [true]";
        insta::assert_snapshot!(Identities::parse(kinds).unwrap_err().to_string(), @r"
        identities[0].name: must be a string
          identities[0].others: must be true or false
          identities[0].feeds[0]: must be a string
          identities[0].claims[0]: must be a string
        ");
    }

    #[test]
    fn a_file_has_a_limited_number_of_identities() {
        let of = |count: usize| -> String {
            let one = |at| {
                format!(
                    "[[identities]]\nname = \"i{at}\"\nroles = [\"operator\"]\ncertificates = [\"i{at}\"]\n"
                )
            };
            (0..count).map(one).collect()
        };
        assert!(Identities::parse(&of(IDENTITIES_MAX)).is_ok());
        let problems = Identities::parse(&of(IDENTITIES_MAX + 1)).unwrap_err();
        assert_eq!(problems.to_string(), "identities: has more than 1000 identities");
    }
}
