"""Seeds that once broke a promise, each with what was wrong. They are run before all new ones.

A change of what seeds draw makes others of them; what they found has a named test as well, which does not age.
"""

BUGS: dict[int, str] = {
    3786: "a late put of an older epoch left a lost ledger's site a secondary that nobody could promote",
    30003399: "a primary that hung during a failover answered old reads as it went on",
    50008180: "a ledger lost while an extension made room, and the extension undone: the copy was refused for ever",
    80001760: "pairs joined a paused group whose others had been synced meanwhile, and it was failed over by force",
    80015680: "both ledgers lost in the midst of a reversal: no verb took an operator's word for either",
    81026820: "a group that was stopped after its reversal had failed: it was repeated while all rested",
    200: "a failover whose new production site lost its ledger before it served could not be brought to its end",
}
