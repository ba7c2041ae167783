"""Look when a server's certificate ends, and say it in time."""

from bot.engine import Ask, Case, Chatflow, Choose, Do, End, Number, Text, orders


class Certificates(Chatflow):
    title = "Check a certificate"
    says = ("check the certificate of {host}", "when does the certificate of {host} end")

    host = Ask(
        Text(
            "Of which server?",
            placeholder="wiki.example.org",
            pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$",
            pattern_says="A server's name holds letters, digits, dots and hyphens.",
        ),
        title="Server",
    )
    port = Ask(Number("On which port?", default=443, minimum=1, maximum=65535), quiet=True, title="Port")
    seen = Do(
        orders.CheckCertificate(host="{{ host }}", port="{{ port }}"),
        says="Looking at **{{ host }}**.",
        failed="away",
    )
    when = Choose(
        Case("seen.not_after_ms < session.at_ms", "over"),
        Case("seen.not_after_ms - session.at_ms < 1814400000", "soon"),  # three weeks
        otherwise="fine",
    )
    over = End(
        "The certificate of **{{ host }}** ended on {{ seen.not_after_ms | date }}. Renew it now.",
        outcome="failed",
    )
    soon = End(
        "The certificate of **{{ host }}** ends on {{ seen.not_after_ms | date }}: renew it in the next days."
    )
    fine = End("The certificate of **{{ host }}** holds until {{ seen.not_after_ms | date }}.")
    away = End("**{{ host }}** shows no certificate: {{ seen.problem.says }}", outcome="failed")
