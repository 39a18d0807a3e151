"""Recognise refusals: the assistant writes that it cannot or will not, and writes nothing else.

A refusal is judged by its build. One of the first sentences has the assistant for its subject ("I", or none at all), an inability or
unwillingness, a verb of what assistants do, and for its object what was asked for; and no passage follows. What a text says *about* refusing, in
someone's words, as a title or as an argument ("I cannot support a ban on ..."), is a passage.
"""

from __future__ import annotations

import re

LOOKED_AT = 4000
"""Characters that are read: no refusal is longer."""

_CANNOT = (
    r"\s*(?:(?:really|truly|currently|afraid|simply|just|also|unfortunately|therefore|still|sorry|but|that|i|,)\s*)*"
    r"(?:can\s*not|can['’]?t|could\s*not|couldn['’]?t|(?:am|are)?\s*(?:unable|not\s+(?:able|allowed|permitted|designed|programmed|equipped|authori[sz]ed|qualified|in\s+a\s+position|comfortable))"
    r"(?:\s+(?:to|with))?|won['’]?t(?:\s+be\s+able\s+to)?|will\s+not(?:\s+be\s+able\s+to)?|(?:must|have\s+to|need\s+to|will\s+have\s+to|['’]ll\s+have\s+to)\s+(?:respectfully\s+|politely\s+)?(?:decline|refuse)(?:\s+to)?"
    r"|(?:respectfully\s+)?(?:decline|refuse)(?:\s+to)?|do\s*n[o'’]?t\s+(?:think|believe)\s+(?:that\s+)?i\s+(?:can|could|should|am\s+able\s+to)|do\s*n[o'’]?t\s+feel\s+comfortable|['’]d\s+(?:rather|prefer)\s+not(?:\s+to)?|prefer\s+not\s+to|do\s+not\s+wish\s+to)"
)
_I_CANNOT = r"(?:\bi(?:\s+am|['’]m)?)" + _CANNOT
_WE_CANNOT = r"(?:\bwe(?:\s+are|['’]re)?)" + _CANNOT
_NO_SUBJECT = (
    r"(?:can\s*not|can['’]t|unable\s+to|not\s+able\s+to|(?:i\s+)?regret(?:fully)?,?\s+(?:i\s+)?(?:cannot|unable\s+to))"
)
_SOFTLY = r"(?:\s+(?:actually|really|directly|ethically|safely|reliably|accurately|responsibly|in\s+good\s+conscience|currently|be|just|simply|further|legally|personally|even))*\s+"
_REQUEST = (
    r"(?:passages?|paragraphs?|texts?|content|answers?|repl(?:y|ies)|responses?|information|info|advice|guidance|instructions?|details?|explanations?|summar(?:y|ies)|articles?|essays?"
    r"|recommendations?|assistance|help|opinions?|documents?|lists?|keywords|arguments?|counter-?arguments?|diagnos[ie]s|evidence|material|output|rewrites?|topics?|subjects?|requests?"
    r"|questions?|quer(?:y|ies)|tasks?|prompts?|claims?|statements?|stor(?:y|ies)|code|translations?|data|medical|legal|financial)"
)
_HELP = (
    r"(?:help(?:ing)?(?!\s+(?:but\b|myself|ourselves|it\b|thinking|feeling|falling|wondering|loving|\w+ing\b))(?=\s*(?:$|[.,;!—–-]|you\b|with\b|on\b|to\b|in\s+that|fulfil|creat|writ|answer|generat))"
    r"|assist(?:ing)?(?=\s*(?:$|[.,;!—–-]|you\b|with\b|in\b))|comply(?:ing)?(?=\s*(?:$|[.,;!—–-]|with\s+(?:this|that|your|the\s+request|such)))"
    r"|(?:fulfil+|accommodate|honou?r|satisfy|complete|process|act\s+on|go\s+along\s+with|grant)(?:l?ing)?\s+(?:this|that|your|the|such\s+an?)\s+(?:\w+\s+){0,2}?(?:request|task|prompt|query|instruction)s?"
    r"|do(?:ing)?\s+(?:that|this|so)\b(?!\s+(?:alone|forever|without\s+you|to|job|kind|because))"
    r"|(?:continue|proceed|engage)(?=\s*(?:$|[.!]|(?:with|in)\s+(?:this|that|the|your|our|such)\s+(?:\w+\s+){0,2}?(?:request|conversation|discussion|task|topic|prompt|content)))"
    r"|(?:write|say|generate|answer|provide|create|produce|discuss|share|give\s+you|describe|explain|translate|show\s+you)\s+(?:that|this|it|those|these|such)\s*(?:$|[.!?,;]|in\b|because|for\s+you))"
)
_PRODUCE = (
    r"(?:writ(?:e|ing)|generat(?:e|ing)|creat(?:e|ing)|provid(?:e|ing)|giv(?:e|ing)|offer(?:ing)?|produc(?:e|ing)|compos(?:e|ing)|draft(?:ing)?|shar(?:e|ing)|suppl(?:y|ying)|mak(?:e|ing)|formulat(?:e|ing)"
    r"|craft(?:ing)?|answer(?:ing)?|respond(?:ing)?(?:\s+to)?|repl(?:y|ying)(?:\s+to)?|discuss(?:ing)?|complet(?:e|ing)|rewrit(?:e|ing)|summari[sz](?:e|ing)|support(?:ing)?|engag(?:e|ing)\s+(?:in|with)"
    r"|address(?:ing)?|explain(?:ing)?|present(?:ing)?|return(?:ing)?|speak(?:ing)?|comment(?:ing)?(?:\s+on)?)"
)
_FIND = r"(?:find|locate|access|verify|confirm|retrieve|browse|look\s+up|open|view|see|identify|determine|fact-?check|search|recall)"
_NEARLY = r"(?:\s+(?!a\s+ban)[\w'’/-]+){0,6}?\s+"
_LACK = (
    r"i\s+(?:do\s*n[o'’]?t|did\s*n[o'’]?t|lack|have\s+no)\s*(?:currently|actually|yet|really)?\s*(?:have|possess|know)?\s*(?:the|any|enough|sufficient|adequate|personal|specific|reliable|real-time|direct|current)?"
    r"\s*(?:\w+\s+)?(?:information|context|data|details?|knowledge|access|ability|capability|opinions?|beliefs?|feelings?|experiences?|expertise|preferences|the\s+answer|answer|training|passage|question|query)\b"
    r"|i\s+(?:do\s*n[o'’]?t|did\s*n[o'’]?t)\s+know\s*(?:[.!]|$|the\s+answer|enough|what\s+you|anything\s+about)|i['’]?\s*a?m\s+not\s+(?:familiar\s+with|aware\s+of|sure\s+(?:what|how|which)|certain)"
    r"|i\s+(?:do\s*n[o'’]?t|did\s*n[o'’]?t)\s+(?:quite\s+)?(?:understand|recognize)\s+(?:the|this|your|that)\s+(?:question|query|request|prompt|claim|term)"
)
_UNCLEAR = r"\b(?:the|this|your)\s+(?:query|question|request|prompt)\s+(?:you\s+\w+\s+)?(?:is|seems|appears)\s+(?:\w+\s+){0,3}?(?:unclear|incomplete|not\s+clear|ambiguous|vague)\b"
_POLICY = (
    r"(?:this|that|your)\s+(?:\w+\s+)?(?:request|query|prompt|question|content|topic)\s+(?:\w+\s+)?(?:violates?|goes\s+against|is\s+against|was\s+flagged|falls\s+outside\s+(?:my|our|the\s+scope)|is\s+(?:not\s+(?:appropriate|something)|inappropriate|harmful))"
    r"|(?:this|that|your)\s+(?:request|prompt|query)\s+(?:cannot|can['’]t)\s+be\b"
    r"|(?:that|this|it)(?:['’]s|\s+is)\s+(?:not\s+something|something\s+(?:that\s+)?i\s+(?:can['’]?t|cannot|won['’]?t|am\s+not))|i\s+(?:must|have\s+to|will\s+have\s+to)\s+(?:decline|pass)"
    r"|(?:it|this)\s+(?:would\s+be|is)\s+(?:(?:inappropriate|unethical|not\s+(?:appropriate|ethical|possible))\s+for\s+me\b|against\s+(?:my|our)\b)"
)
_AI = r"(?:as|being|i\s+am|i['’]m|since\s+i\s+am|since\s+i['’]m)\s+(?:just\s+|only\s+)?(?:an?|your)\s+(?:\w+\s+){0,2}?(?:ai\b|a\.i\.|artificial\s+intelligence|language\s+model|llm\b|chatbot|virtual\s+assistant|digital\s+assistant|assistant\b)"
_SORRY = r"(?:(?:i\s*['’]?\s*a?m\s+)?(?:very\s+|so\s+|truly\s+|deeply\s+|really\s+)?sorry\b|(?:my\s+)?apologies\b|i\s+(?:sincerely\s+)?apologi[sz]e\b|i\s+regret\b|unfortunately\b|regrettably\b|i['’]m\s+afraid\b|i\s+am\s+afraid\b)"

_HARD = re.compile(
    rf"(?:{_I_CANNOT}|{_WE_CANNOT}|{_NO_SUBJECT}){_SOFTLY}(?:be\s+)?{_HELP}|{_I_CANNOT}{_SOFTLY}{_PRODUCE}{_NEARLY}{_REQUEST}\b|{_POLICY}"
    rf"|\b(?:i\s+am|i'm)\s+(?:just\s+|only\s+)?an?\s+(?:\w+\s+){{0,3}}?(?:ai|language\s+model|assistant|chatbot)\b[^.]{{0,60}}?\b(?:can\s*not|can't|do\s*n[o']?t|unable)\b"
    rf"|^\W*(?:{_SORRY}\W*(?:but\W*)?)?{_I_CANNOT}\W*$",
    re.I,
)
_NO_SUBJECT_AT_ALL = re.compile(rf"{_NO_SUBJECT}{_SOFTLY}(?:{_PRODUCE}|{_FIND}){_NEARLY}{_REQUEST}\b[^,]*$", re.I)
_SOFT = re.compile(
    rf"{_LACK}|{_UNCLEAR}|{_I_CANNOT}{_SOFTLY}(?:discuss|comment\s+on|speculate|recommend|diagnose|prescribe|advise)\b|{_I_CANNOT}{_SOFTLY}{_FIND}{_NEARLY}(?:{_REQUEST}|internet|web|sources?|it|this|that)\b",
    re.I,
)
_ALONE = re.compile(
    rf"^\W*(?:{_I_CANNOT}(?:{_SOFTLY})?\s*(?:{_PRODUCE}|that|this|so)?\W*$|i\s+decline\W*$|i\s+refuse\W*$)|^\W*{_I_CANNOT}{_SOFTLY}{_PRODUCE}\s+(?:that|this|it)\W*$",
    re.I,
)
_OF_ITSELF = re.compile(rf"{_AI}\b.*\b(?:i|my|me)\b|^\W*{_AI}\W*$", re.I | re.S)
_APOLOGY = re.compile(rf"^\W*(?:(?:well|hello|hi|oh)\W+)?{_SORRY}", re.I)
_BY_OTHERS = re.compile(
    r"[,”\"’']\s*(?:he|she|they|the\s+\w+|[A-Z]\w+(?:\s[A-Z]\w+)?)\s+(?:said|says|wrote|writes|told|replied|replies|declared|argued|admitted|sang|sings|answered|explained|insisted|thought|recalled|confessed|whispered|cried)\b"
    r"|\b(?:said|wrote|replied|declared|argued|sang|says|writes|answered|told)\s+(?:he|she|they|the\s+\w+|[A-Z]\w+)\b"
    r"|\b(?:is|was|are|were)\s+(?:an?|the|one\s+of)\s+(?:[\w'’-]+\s+){0,5}?(?:song|single|album|film|movie|novel|book|poem|play|episode|series|show|comedy|phrase|expression|line|saying|words?|sentence|quote|error|message|common|typical)\b"
)
_TO_THE_USER = re.compile(
    r"\b(?:i|i['’]\w+|me|my|myself|you|your|yourself)\b|\b(?:please|consult(?:ing)?|contact(?:ing)?|seek(?:ing)?|reach(?:ing)?\s+out|ask(?:ing)?)\b|^\W*(?:is\s+there|feel\s+free|let\s+me|thank)\b",
    re.I,
)
_BEGINS = re.compile(
    rf"^\W*(?:{_SORRY}|{_AI}|(?:i|you|your|thank|thanks|while|although|though|however|but|as|since|because|given|due|at|for|in|with|to|from|hello|hi|hey|well|oh|there|this|that|please|based|so|and|yes|no|ah|it)\b)",
    re.I,
)
_OFFER = re.compile(r"^\W*(?:but|however|instead|though|although)\b", re.I)
_ENGLISH_SENTENCE = re.compile(r"(?<=[.!?…])[\"”’)]*\s+|\n+")

_ELSEWHERE = re.compile(
    # Chinese
    r"(?:我(?:很|非常|真的|目前|暂时|只是|们|实在|恐怕)*(?:无法|不能|没办法|没有办法|不可以|不会|不便|無法|沒辦法|不應該|不应该|没有能力|沒有能力|不被允许|拒绝)(?:为|為|给|帮|向|在|对|直接|继续|您|你|就|根据|完成|协助|这|這|与|和)*[^，。！？\n]{0,12}?"
    r"(?:提供|回答|协助|協助|帮助|幫助|帮[您你]|生成|撰写|撰寫|写|寫|满足|滿足|完成|讨论|討論|处理|處理|给出|給出|透露|继续|参与|回应|回應|答复|创建|創作|创作|执行|访问|查看|查询|确认|核实)"
    r"|(?:无法|不能|無法)(?:为您|为你|為您|直接)?(?:提供|回答|协助|满足|完成|生成|处理)[^，。\n]{0,14}(?:请求|請求|信息|資訊|问题|問題|内容|內容|要求|段落|帮助|建议|服务)[。！\s]*$"
    r"|作为(?:一个|一名|一款|一种)?(?:AI|ai|人工智能|大?语言模型|大?語言模型|智能助手|虚拟助手)[^，。\n]{0,12}，?我|作為(?:一個|一名)?(?:AI|人工智慧|語言模型)[^，。\n]{0,12}，?我|我(?:没有|沒有)[^，。\n]{0,14}?(?:信息|資訊|资料|个人观点|个人意见|上下文|权限))"
    # French
    r"|(?:je\s+(?:suis\s+(?:vraiment\s+)?désolée?[^.!?\n]{0,20}?\bje\s+)?(?:ne\s+)?(?:peux|pourrai|puis|vais|saurais|suis)\s+(?:malheureusement\s+)?pas\s+(?:en\s+mesure\s+de\s+|capable\s+de\s+|autorisée?\s+à\s+)?(?:vous\s+|t['’]|te\s+|y\s+|l['’]|me\s+)?(?:directement\s+)?"
    r"(?:aider|assister|fournir|répondre|écrire|rédiger|générer|créer|donner|satisfaire|accéder|produire|proposer|partager|discuter|traiter|effectuer|faire\s+(?:cela|ça)|offrir|continuer|vérifier|accomplir)\b"
    r"|il\s+m['’]est\s+impossible\s+de\s+(?:vous\s+)?(?:aider|fournir|répondre|écrire|rédiger|générer|donner|satisfaire|traiter)|je\s+suis\s+dans\s+l['’](?:incapacité|impossibilité)|je\s+(?:dois|préfère)\s+(?:refuser|décliner|ne\s+pas)"
    r"|en\s+tant\s+qu(?:['’]|e\s+)(?:une?\s+)?(?:ia|intelligence\s+artificielle|modèle\s+de\s+langage|modèle\s+linguistique|assistante?(?:\s+virtuel\w*|\s+ia)?)\b[^.\n]*\bj(?:e|['’])"
    r"|je\s+n['’]ai\s+pas\s+(?:accès|assez|suffisamment|d['’]informations?|d['’]opinions?|les\s+informations|la\s+capacité))"
    # German
    r"|(?:(?:kann|darf|werde|möchte|könnte)\s+ich|ich\s+(?:kann|darf|werde|möchte|könnte))\b[^.!?\n]{0,90}?\b(?:nicht|keine?n?|leider)\b[^.!?\n]{0,60}?\b(?:helfen|weiterhelfen|beantworten|erstellen|schreiben|verfassen|bereitstellen|geben|generieren|anbieten|erfüllen|unterstützen"
    r"|nachkommen|liefern|machen|behilflich|eingehen|diskutieren|ausführen|bearbeiten|überprüfen|zugreifen|antworten)\b(?!\s+\w+\s+\w+\s+\w+\s+\w+)|ich\s+bin\s+(?:leider\s+)?nicht\s+(?:in\s+der\s+lage|befugt|berechtigt|dazu\s+programmiert)"
    r"|als\s+(?:eine?\s+)?(?:ki\b|künstliche\s+intelligenz|sprachmodell|ki-\w+|großes\s+sprachmodell|virtueller\s+assistent)[^.\n]*\b(?:ich|mir)\b|ich\s+habe\s+(?:leider\s+)?(?:keine?n?|nicht\s+genügend)\s+(?:zugriff|zugang|informationen|meinung\w*|persönliche\w*|ausreichend\w*)"
    # Spanish
    r"|(?:no\s+(?:te\s+|le\s+|os\s+|les\s+|lo\s+)?(?:puedo|podré|podría|podemos|soy\s+capaz\s+de|estoy\s+en\s+condiciones\s+de|me\s+es\s+posible|estoy\s+autorizad\w+\s+a|voy\s+a)\s+(?:directamente\s+)?(?:ayudar|proporcionar|responder|escribir|generar|crear|ofrecer|cumplir|asistir|brindar|dar(?:te|le)?\b"
    r"|redactar|facilitar|continuar|hacer\s+(?:eso|esto)|hacerlo|atender|compartir|verificar|acceder|satisfacer|participar|completar)\w*|como\s+(?:una?\s+)?(?:ia\b|inteligencia\s+artificial|modelo\s+de\s+lenguaje|asistente(?:\s+virtual|\s+de\s+ia)?)\b[^.\n]*\b(?:no|puedo|tengo|mi)\b"
    r"|no\s+(?:tengo|dispongo\s+de)\s+(?:acceso|suficiente|información|opiniones|la\s+capacidad)|(?:debo|tengo\s+que|prefiero)\s+(?:rechazar|declinar|negarme))"
    # Italian, Portuguese, Russian, Japanese, Korean
    r"|non\s+(?:posso|sono\s+in\s+grado\s+di)\s+(?:aiutar|fornir|risponder|scriver|generar|soddisfar|assister)\w*|não\s+(?:posso|consigo|sou\s+capaz\s+de)\s+(?:ajud|fornec|respond|escrev|ger|atend|cri)\w*"
    r"|я\s+не\s+могу\s+(?:помочь|ответить|предоставить|написать|выполнить)|(?:申し訳|すみません|ごめんなさい)[^。]*(?:できません|出来ません|かねます)|(?:죄송|미안)[^.]*(?:없습니다|못합니다|어렵습니다)",
    re.I,
)
_OBJECTS_OF_OTHERS = re.compile(
    r"(?:unterstützen|soutenir|apoyar|支持)|[,，]\s*(?:schrieb|sagte|schreibt|écrivait|écrit|dit(?:-il|-elle)?|disait|escribió|dijo|dice|他说|她说|写道)|[”\"»]\s*[,，]?\s*(?:schrieb|sagte|dit|dijo)",
    re.I,
)
_TO_THE_USER_ELSEWHERE = re.compile(
    r"\b(?:je|j['’]|vous|votre|vos|tu|ich|ihnen|ihre?n?|mir|mich|dir|ustedes?|puedo|puedes?|te|su|tu|contactez|consultez|wenden|bitte|consulte|por\s+favor|désolée?|mi\s+dispiace|desculpe|извините|lo\s+siento|leid|entschuldig\w*)\b|[我您你请請]|抱歉|对不起|對不起|很遗憾",
    re.I,
)
_SENTENCE_ELSEWHERE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")


def is_refusal(text: str) -> bool:
    """Return whether a cleaned text is a refusal."""
    text = text[:LOOKED_AT].replace("’", "'")
    sentences = [s for s in _ENGLISH_SENTENCE.split(text.strip()) if s.strip()]
    return bool(sentences) and (_refuses(sentences) or _refuses_elsewhere(text))


def _refuses(sentences: list[str]) -> bool:
    content = hard = soft = 0
    for number, sentence in enumerate(sentences):
        refused = _refused(sentence, alone=len(sentences) == 1) if content < 12 and number < 6 else ""
        if refused == "others":
            return False
        hard += refused == "hard"
        soft += refused == "soft"
        if refused:
            content += _content_after(sentence)
        elif not (_TO_THE_USER.search(sentence) or _APOLOGY.match(sentence)) or (
            _OFFER.match(sentence) and len(sentence) > 200
        ):
            content += len(sentence.split())
        if content >= 45:
            return False
    return content < (45 if hard else 8) if hard or soft else False


def _refused(sentence: str, alone: bool) -> str:
    """Return "hard" for a refusal of the request, "soft" for a lack of knowledge, "others" for words that are not the assistant's."""
    refusal = (
        _HARD.search(sentence)
        or (alone and (_NO_SUBJECT_AT_ALL.match(sentence.strip()) or _ALONE.search(sentence)))
        or None
    )
    weak = None if refusal else _SOFT.search(sentence) or _OF_ITSELF.search(sentence)
    match = refusal or weak
    if not match:
        return ""
    before = sentence[: match.start()]
    if (
        _BY_OTHERS.search(sentence)
        or _is_title(match[0])
        or len(before.split()) > 14
        or re.search(r"[\"“]\s*$", before)
    ):
        return "others"
    if not _BEGINS.match(sentence) and before.strip():
        return ""
    return "hard" if refusal else "soft"


def _is_title(words: str) -> bool:
    """Return whether words are written as in a title: "I Can't Help Myself"."""
    later = [w for w in words.split()[1:] if w[:1].isalpha() and w not in ("I", "I'm")]
    return len(later) > 1 and not words.isupper() and sum(w[0].isupper() for w in later) * 2 > len(later)


def _content_after(sentence: str) -> int:
    """Count the words that a sentence of refusal goes on to say about the matter itself."""
    parts = re.split(r"[,;:—–]\s+(?:but|however|though|although|yet)\s+|:\s+|;\s+", sentence)
    return sum(len(p.split()) for p in parts[1:] if not _TO_THE_USER.search(p))


def _refuses_elsewhere(text: str) -> bool:
    sentences = [s for s in _SENTENCE_ELSEWHERE.split(text) if s.strip()]
    first = next((i for i, s in enumerate(sentences[:3]) if _ELSEWHERE.search(s)), None)
    if first is None or _OBJECTS_OF_OTHERS.search(sentences[first]):
        return False
    if any(not _TO_THE_USER_ELSEWHERE.search(s) for s in sentences[:first]):
        return False
    rest = [
        s
        for i, s in enumerate(sentences)
        if i > first and not _ELSEWHERE.search(s) and not _TO_THE_USER_ELSEWHERE.search(s)
    ]
    return sum(max(len(s.split()), len(re.findall(r"[\u4e00-\u9fff]", s)) // 2) for s in rest) < 20
