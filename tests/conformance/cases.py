# SPDX-License-Identifier: BSD-3-Clause
"""The wanted cases: what RFC 7672, RFC 7671 and RFC 7505 demand, one line each.

A group is WANTED when each of its cases must have a test that passes, LATER when its part is not built yet. Levels are those of
the RFCs; `def` is plain text of an RFC, `derived` is needed to make one hold in a cache or a daemon. A dagger marks rules that bind the
sender after it has the plan: here a test holds the plan to what makes them possible.
"""

import dataclasses

WANTED, LATER = "wanted", "delivery side, not yet"


@dataclasses.dataclass(frozen=True)
class Case:
    id: str
    level: str
    text: str
    state: str


GROUPS = (
    ("A. DNSSEC status (RFC 7672 section 2.1.1)", WANTED, """
A01 MUST      a zone with no trust anchor above it → as insecure
A02 MUST      indeterminate → as bogus or failed
A03 MUST NOT  no validation on the resolver path → said, and nothing is delivered
A04 MUST NOT  AD bit from a server → ignored; our own validation decides
A05 def       secure NODATA → no records, no error
A06 def       secure NXDOMAIN → no records, no error
A07 def       insecure NODATA or NXDOMAIN → no records, no error
A08 def       error RCODEs, timeout, malformed, bogus → all one class: lookup error
A09 def       insecure data → delivery goes on
A10 def       RRSIGs stripped in a signed zone → bogus, hence error
A11 def       denial without its proof in a signed zone → bogus, hence error
"""),
    ("B. Lookup errors (RFC 7672 section 2.1.2)", WANTED, """
B01 MUST      MX lookup fails → delay
B02 MUST      MX lookup is bogus → delay
B03 def       address lookup of one of two hosts fails → only that host unreachable
B04 MUST      address lookup of the only host fails → delay
B05 MUST      securely selected host → asked for TLSA
B06 MUST      TLSA SERVFAIL in a signed zone → unreachable
B07 MUST      TLSA times out → unreachable
B08 MUST      TLSA bogus (expired, wrong key, no proof) → unreachable
B09 MUST      TLSA REFUSED, NOTIMP, FORMERR, truncated with failing TCP → unreachable
B10 MUST NOT  TLSA error at MX 10, usable TLSA at MX 20 → nothing through MX 10
B11 def       every host unreachable → delay
B12 MUST NOT  TLSA error → no connection to that host †
B13 derived   TLSA error in the cache → never as "no TLSA"; kept for failure-ttl
B14 derived   servers of a live answer fail → it holds to its end, then delay
"""),
    ("C. Aliases (RFC 7672 section 2.1.3)", WANTED, """
C01 def       name below a DNAME → as any CNAME
C02 def       reply without the data of the CNAME's target → asked for at the target
C03 MUST      error at any hop → the lookup failed
C04 derived   loop, or too many hops → the lookup failed, not "no records"
C05 MUST      secure, insecure, secure chain → insecure
C06 def       secure alias to an insecure target → the alias's own status decides
C07 derived   two CNAMEs at one name → the lookup failed
"""),
    ("D. The TLSA outcome (RFC 7672 section 2.2)", WANTED, """
D01 MUST      secure TLSA, at least one usable → dane
D02 MUST      … no certificate matches → next host, else delay †
D03 MUST      … no STARTTLS → next host, else delay †
D04 MUST      … TLS fails → next host, else delay; never cleartext †
D05 MUST      secure TLSA, none usable → tls-no-auth
D06 MUST      … no STARTTLS → next host, else delay †
D07 SHOULD    insecure TLSA → opportunistic
D08 SHOULD    TLSA securely denied → opportunistic
D09 MAY       … TLS fails → cleartext allowed †
D10 MUST      lookup error → next host, else delay
D11 MAY       requirement mandatory → only dane delivers
D12 def       next hop is an address → opportunistic, no lookup
D13 def       MX target is an address string → never asked for TLSA
"""),
    ("E. MX (RFC 7672 section 2.2.1)", WANTED, """
E01 def       several hosts → TLSA base and set per host
E02 MUST      hosts come sorted by preference
E03 MUST NOT  MX 10 without TLSA, MX 20 with → 10 stays first
E04 def       equal preferences → any order
E05 def       next hop is an alias → followed; both names kept
E06 MUST      insecure MX, mandatory → delay
E07 def       insecure MX → opportunistic allowed
E08 MAY       insecure MX, host with TLSA → insecure-mx-policy decides
E09 def       alias to the MX insecure, MX itself secure → insecure
E10 SHOULD    insecure MX → the host is named as the MX record names it
E11 MUST NOT  insecure MX, authenticated by the host → never as verified for the domain
E12 MUST      secure MX → each host by section F
E13 def       host A with TLSA, host B without → A dane, B opportunistic
E14 MUST      TLSA error at one host → only that host unreachable
"""),
    ("F. Addresses and TLSA base domain (RFC 7672 section 2.2.2)", WANTED, """
F01 def       relay host [host] → no MX step, counts as secure
F02 def       no MX records → the domain is its own host
F03 MUST      addresses asked for before TLSA
F04 def       no address at all → unreachable, no TLSA query
F05 SHOULD NOT insecure addresses, no alias → no TLSA query, opportunistic
F06 derived   … and its zone fails on TLSA → delivered all the same
F07 def       secure, no alias → TLSA at the name
F08 def       alias and addresses insecure → opportunistic
F09 def       alias secure, addresses insecure → TLSA at the original name only
F10 def       all secure, TLSA at the expanded name → that is the base
F11 MUST      … none there → original name tried, and the base
F12 def       none at either → opportunistic
F13 MUST      error at the expanded name → unreachable, not papered over by the original
F14 derived   one address family fails → the other is used
F15 def       TLSA at a name in the middle of the chain → ignored
F16 derived   A and AAAA differ in status → kept per address
"""),
    ("G. TLSA (RFC 7672 section 2.2.3)", WANTED, """
G01 def       port 25 → _25._tcp.BASE
G02 MUST      another port → in the name
G03 def       TLSA name is a secure alias → base domain unchanged
G04 def       … with an insecure hop → as no TLSA, next candidate
G05 def       several candidates → the first secure RRset wins, usable or not
G06 MUST NOT  secure TLSA, unsupported or switched off → TLS stays mandatory
G07 derived   RRset larger than UDP → over TCP, same result
G08 derived   TLSA from a wildcard, with its proof → secure
G09 MUST NOT  insecure TLSA → never told as authenticating
"""),
    ("H. Usable records (RFC 7672 section 3.1)", WANTED, """
H14 MAY       usages 0 and 1 only → unusable, hence tls-no-auth
H15 derived   usage 1 beside usage 3 → usage 3 alone decides
H16 derived   usage 4 to 255, selector 2 to 255, matching type 3 to 255 → unusable
H17 derived   wrong length, empty, undecodable Full(0) → unusable
H19 MUST      SHA2-256 → supported
"""),
    ("H. Matching a certificate (RFC 7672 section 3.1)", WANTED, """
H01 MUST      3 1 1 matches, name does not → authenticated
H02 MUST      3 1 1 matches, certificate out of its time → authenticated
H03 def       3 1 1 matches, self-signed or chain incomplete → authenticated
H04 def       3 x x in all selectors and matching types → leaf only
H05 def       3 x x of an intermediate → no match
H06 MUST      2 0 1, trust anchor in the chain → dates and names checked
H07 derived   trust anchor is a private intermediate → accepted, local CAs not asked
H08 def       2 0 1, trust anchor not in the chain → fails
H09 MUST      2 0 0, trust anchor in the DNS only → verified
H10 SHOULD    2 1 0, top of the chain signed by that key → accepted
H11 derived   trust anchor sent but not the issuer → fails
H12 SHOULD    path length or name constraints broken → fails
H13 def       2 x x matches, leaf expired → fails
H18 derived   usage 3 does not match, usage 2 does → authenticated
"""),
    ("I. Reference names (RFC 7672 section 3.2)", WANTED, """
I04 MUST      usage 2 → the TLSA base domain is the first name
I05 MUST      secure MX → the next hop is a second name
I06 MUST      … next hop was an alias → its expansion is a third name
I07 def       insecure MX → the base only
I08 MUST      no MX, base is the expanded next hop → the original is a second name
I09 MUST      the example of section 3.2.2
I15 derived   case, trailing dots, escapes, U-labels → one name
"""),
    ("I. Comparing names with a certificate (RFC 7672 section 3.2)", WANTED, """
I01 MUST      usable TLSA → authenticates; no PKIX instead
I02 MUST NOT  authentication failed → nothing delivered there
I03 MUST NOT  usage 3 → no name check
I10 def       SAN present, only CN matches → no match
I11 def       no DNS-ID at all, CN matches → match
I12 MUST      *.example.com for mx1.example.com → match
I13 def       partial and inner wildcards → no match
I14 MAY       *.example.com for a.b.example.com → no match
I16 derived   NUL or address in the SAN → no match
"""),
    ("J. Digest agility (RFC 7671 section 9)", WANTED, """
J01 SHOULD    3 1 1 and 3 1 2 → the stronger alone counts
J02 SHOULD    3 1 0 and 3 1 2 → both; Full(0) is always kept
J03 SHOULD    3 1 2 of a bad length, 3 1 1 good → discarded first, 3 1 1 used
J04 SHOULD    3 1 2 and 3 0 1 → groups of their own, both used
J05 SHOULD    the administrator's order → honoured; what is dropped is unusable
"""),
    ("K. Mandatory DANE (RFC 7672 section 6)", WANTED, """
K01 def       mandatory, no TLSA → delay
K02 def       mandatory, only unusable TLSA → delay
K03 MUST      mandatory, insecure MX → delay
K04 derived   mandatory, null MX → no-mail stays permanent
"""),
    ("L. The TLS handshake (RFC 7672 section 8)", WANTED, """
L01 MUST      dane → SNI is the TLSA base domain
L02 MUST      … also when that is the expanded name
L03 MUST      … also when the TLSA name is an alias
L04 def       server ignores SNI and its default chain matches → accepted
L05 SHOULD    ClientHello offers no anonymous suites under dane
L06 MUST      TLS 1.2 and above
L07 SHOULD NOT raw public keys without a 3 1 x record
L08 derived   session resumed, TLSA changed → authenticated anew
L09 derived   connection reused for another next hop → only if its names allow it
"""),
    ("M. Operation (RFC 7672 sections 9 and 10)", WANTED, """
M01 def       DANE switched off for a next hop → honoured and told
M02 MAY       audit only → delivered, marked "would have been refused"
M03 MUST NOT  neither, usable TLSA, no match → not delivered †
M04 MUST      unreachable host → no connection at all †
M05 derived   life of an answer → no longer than any TTL and signature it rests on
M06 derived   expired answers → never served, nor after bogus ones
M07 derived   clock stepped → no expired signature accepted; said
M08 derived   restart → nothing of before is served unchecked
"""),
    ("N. Null MX (RFC 7505)", WANTED, """
N01 SHOULD    "0 ." alone → no-mail, nothing else asked for
N02 derived   "0 ." beside real MX → skipped
"""),
    ("N. MTA-STS, TLS reports, REQUIRETLS (RFC 8461, 8460, 8689)", LATER, """
N03 MUST NOT  DANE fails, MTA-STS would pass → next host, else delay
N04 derived   opportunistic under DANE, MTA-STS enforced → MTA-STS decides, per host
N05 SHOULD    failures are reported by their RFC 8460 result types
N06 MUST      a mail that carries a TLS report → delivered despite TLS failures
N07 MUST      REQUIRETLS, host opportunistic → not relayed without authentication
N08 def       "TLS-Required: No" → failures may be ignored for that message
"""),
)


def cases(group):
    """The cases of one group, in order."""
    _, state, text = group
    for line in text.strip().splitlines():
        case_id, _, rest = line.partition(" ")
        level = next(word for word in LEVELS if rest.strip().startswith(word))
        yield Case(case_id, level, rest.strip()[len(level):].strip(), state)


LEVELS = ("MUST NOT", "MUST", "SHOULD NOT", "SHOULD", "MAY", "def", "derived")
CASES = {case.id: case for group in GROUPS for case in cases(group)}
