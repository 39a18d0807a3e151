"""Remove what an LLM writes around the text: announcements, labels, echoes of the prompt, offers at the end.

In English, Chinese, French, German and Spanish, and the commonest in Italian and Portuguese. A closing offer is a sentence by the
assistant to the user: it speaks of "me", or of the text itself. "Do not hesitate to call a doctor" is none.
"""

from __future__ import annotations

import re

_THING = (
    r"(?:passages?|paragraph|answer|response|text|document|article|abstract|explanation|summary|rewrite|rewritten|re-?phrased"
    r"|revised|query|question|claim|keywords?|list|counter-?argument|rationale|reasoning|output|version|write-?up|essay)"
)
_GAP = r"(?:[^\n:.!?]|[.](?=\S)|(?<=\b[A-Z])[.](?!\S)){0,150}?"  # within a sentence
_BREAK = r"[^\S\n]*+\n\s*+"  # white space with a line end in it
_ANNOUNCEMENT = (
    rf"(?:(?:here(?:['’]s|\s+is|\s+are|\s+you\s+go)|below\s+(?:is|are)|(?:the\s+)?following\s+(?:is|are))"
    rf"\b{_GAP}\b{_THING}\b{_GAP}(?::++(?:\*\*)?\s*+|[.!]?{_BREAK})"
    rf"|(?:this\s+is|i(?:['’]ve|\s+have)\s+(?:written|prepared|rewritten)|the\s+(?:rewritten|revised))"
    rf"\b{_GAP}\b{_THING}\b{_GAP}:++(?:\*\*)?\s*+)"
)
_CHAT = (
    r"(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|okay|ok|alright|great(?:\s+question)?|yes|no\s+problem|understood|got\s+it"
    r"|thank(?:s|\s+you)[^\n.!]{0,60}|what\s+a[^\n.!]{0,60}|happy\s+to\s+help|i(?:['’]d|['’]ll|\s++would|\s++will|\s++can)(?:\s(?=\s)|\s++(?:[^\n.!:\s][^\n.!:]{0,79})?))"
)
_GROUNDS = r"(?:(?:based\s+on|in\s+response\s+to|as\s+(?:requested|you\s+asked)|to\s+answer|regarding|given|for)\b[^\n.:,]{0,80},\s++)?"
_OPENING = re.compile(rf"^(?:{_CHAT}[!.,:;—–-]*+\s++){{0,3}}{_GROUNDS}{_ANNOUNCEMENT}", re.I)

_YES_ELSEWHERE = (
    r"(?:bien\s+s[ûu]r|certainement|d['’]accord|absolument|avec\s+plaisir|volontiers|entendu|très\s+bien|parfait|je\s+(?:vais|peux)\s[^\n.!:,]{0,60}"
    r"|(?:sehr\s+|aber\s+)?gerne?|(?:na\s+)?klar|natürlich|selbstverständlich|sicher|in\s+ordnung|alles\s+klar|okay|ok|oui|ja|sí"
    r"|claro(?:\s+que\s+sí)?|por\s+supuesto|desde\s+luego|con\s+(?:mucho\s+)?gusto|de\s+acuerdo|vale|perfecto|entendido|seguro"
    r"|certo|certamente|va\s+bene|volentieri|com\s+certeza|sim)"
)
_HERE_ELSEWHERE = (
    r"(?:voici|voilà|ci-dessous|vous\s+trouverez\s+ci-dessous|hier\s+(?:ist|sind|kommt|finde[nt]|haben|hast)|im\s+folgenden|nachfolgend|anbei|folgende[rs]?"
    r"|unten\s+(?:finden|steht)|aquí\s+(?:tienes?|está|hay|va|te|le|se|os)|a\s+continuación|(?:te|le)\s+(?:presento|dejo)|ecco|(?:qui\s+)?di\s+seguito"
    r"|aqui\s+(?:está|vai|tem)|segue|a\s+seguir|abaixo)"
)
_THING_ELSEWHERE = (
    r"(?:passages?|paragraphe|texte|réponse|extrait|article|explication|résumé|reformulation|mots[- ]clés|contre-argument|argument|absatz|(?:text)?abschnitt"
    r"|text(?:passage|stelle)?|antwort|artikel|erklärung|zusammenfassung|umformulierung|stichw[oö]rter|schlüsselwörter|gegenargument"
    r"|pasaje|párrafo|texto|respuesta|fragmento|artículo|explicación|resumen|reformulación|palabras\s+clave|contraargumento"
    r"|passaggio|brano|paragrafo|testo|risposta|passagem|parágrafo|trecho|resposta)"
)
_OPENING_ELSEWHERE = re.compile(
    rf"^(?:¡?\s?{_YES_ELSEWHERE}\b(?:\s?[!.,:;—–-])*+\s++){{0,3}}{_HERE_ELSEWHERE}\b{_GAP}\b{_THING_ELSEWHERE}\b{_GAP}(?::++\s*+|[.!]?{_BREAK})",
    re.I,
)
_THING_CHINESE = (
    r"(?:段落|短文|文章|文段|文字|一段|回答|答案|答复|文本|改写|关键词|關鍵詞|摘要|反驳|论点|篇章|解释|说明|解釋|說明)"
)
_YES_CHINESE = r"(?:好的?|当然(?:可以|了)?|當然(?:可以)?|没问题|沒問題|明白了?|可以的?|收到|是的|[您你]好|很(?:高兴|乐意)[^\n。！!：:]{0,20})"
_OPENING_CHINESE = re.compile(
    rf"^(?:{_YES_CHINESE}(?:[，,。.！!、～~]\s*)++){{0,3}}(?:以下|下面|下述|这里|這裡|这|這|根据|根據|我?[为為]您?你?)"
    rf"[^\n。！？：:]{{0,80}}?{_THING_CHINESE}[^\n。！？：:]{{0,40}}(?:[：:]\s*+|[。！]?{_BREAK})"
)
_EXCLAMATION = re.compile(
    r"^(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|great(?:\s+question)?|no\s+problem|happy\s+to\s+help)!\s+(?-i:(?![a-z]))"
    r"|^(?:sure|certainly|of\s+course|absolutely|okay|ok)[.,:]?\s*\n\s*|^(?:the|your)\s+(?:passage|answer|response|paragraph)\s*:\s*\n\s*"
    rf"|^¡?{_YES_ELSEWHERE}\s?[!.]\s*\n\s*|^¡?(?:bien\s+s[ûu]r|gerne?|natürlich|selbstverständlich|claro|por\s+supuesto)\s?!\s+"
    rf"|^{_YES_CHINESE}[！!。]\s*\n\s*|^(?:好的|当然可以|当然|當然|没问题|沒問題)[！!]\s*",
    re.I,
)

_NAME = (
    r"(?:(?:hypothetical|generated|scientific\s+paper|final)\s+)?(?:passage|answer|output|response|paragraph)|keywords?|rewrite|rewritten\s+query"
    r"|counter[ -]?argument|related\s+document|hypothetical\s+document|réponse|paragraphe|texte|extrait|mots[- ]clés|antwort|(?:text)?absatz|(?:text)?abschnitt"
    r"|textpassage|ausgabe|respuesta|pasaje|párrafo|fragmento|texto|salida|risposta|brano|passaggio|paragrafo|resposta|passagem|parágrafo|trecho"
    r"|段落|短文|文章|回答|答案|答|正文|文本|输出|关键词|改写"
)
_LABEL = re.compile(
    rf"^\s*(?:[#*_\[(\"“>-]{{1,6}}[ \t]*){{0,2}}(?:{_NAME})"
    r"(?:[ \t]*[*_\])\"”]{0,3}[ \t]*[:：][*_\])\"”]{0,3}(?:\s+|$|(?=[^\s/\\]))|[ \t]*[*_\]]{0,3}[ \t]*#{0,6}[ \t]*(?:\n\s*|$))",
    re.I,
)

_ASKS = r"(?:query|question|claim|topic|问题|查询|frage|pregunta|requête)"
_TELLS = (
    r"(?:passage|output|keywords|counter[ -]?argument|related\s+document|paragraph|document|段落|短文|absatz|pasaje)"
)
_MARK = r"[*_#]{0,3}[ \t]*"
_INSTRUCTION = (
    r"(?:please\s+)?(?:write|answer|output|give|generate|provide|you\s+are\s+given)\b[^\n]{0,400}?\b(?:passage|query|question|claim|keywords|answer|topic|document)"
    r"\b[^\n]{0,60}"
)
_ECHO = re.compile(
    rf"^(?:{_INSTRUCTION}\n\s*)?{_MARK}{_ASKS}{_MARK}[:：]{_MARK}[^\n]*\n\s*(?:related\s+document[:：][^\n]*\n\s*)?"
    rf"{_MARK}(?:{_TELLS}|answer|答案|回答){_MARK}[:：]{_MARK}\s*",
    re.I,
)
_ASKED = re.compile(rf"(?<!\s)(\s++){_MARK}{_ASKS}{_MARK}[:：]", re.I)
_TOLD = re.compile(rf"\n\s*+{_MARK}{_TELLS}{_MARK}[:：]", re.I)
_ANSWERED = re.compile(rf"\n\s*+{_MARK}(?:answer|答案|回答|antwort|respuesta|réponse){_MARK}[:：]", re.I)
_QUESTION = re.compile(rf"(?:^|(?<=\n))[ \t]*{_MARK}(?:{_ASKS}|q)[ \t]*(?:\d+[ \t]*)?{_MARK}[:：.]", re.I)
_FAQ = re.compile(
    r"\bfaqs?\b|frequently\s+asked|questions?\s+(?:and|&)\s+answers?|常见问题|foire\s+aux\s+questions|preguntas\s+frecuentes|häufige",
    re.I,
)
_INSTRUCTED = re.compile(rf"\n\s*+(?:{_INSTRUCTION}[.:]?)\s*$", re.I)
_TURN = re.compile(
    r"(?<!\s)(\s++)(?:###\s*(?:instruction|human|user|input|question)s?\b|(?:human|user)\s*:[^\n]*(?:\n\s*(?:assistant|ai|bot)\s*:|$)|user[ \t]*\n)",
    re.I,
)
_OWN_ROLE = re.compile(r"^\s*(?:assistant|model)[ \t]*\n\s*|^\s*(?:###\s*)?(?:assistant|response|ai)\s*:\s*", re.I)

_OTHERS = re.compile(
    r"doctor|physician|pharmacist|nurse|(?:care|health)\s*provider|professional|lawyer|attorney|police|hospital|emergency|teacher|specialist|\bvet\b|manager|advisor"
    r"|hotline|midwife|therapist|médecin|pharmacien|urgence|hôpital|avocat|arzt|ärzt|apothek|notruf|krankenhaus|fachperson|anwalt|médic|doctor|farmacéut"
    r"|urgencia|emergencia|hospital|abogad|医生|医院|就医|急诊|药师|律师",
    re.I,
)
_HELPS = r"(?:helps?|(?:is|are|was|were)\s+(?:\w+\s+)?(?:helpful|useful|clear|informative|sufficient|what\s+you)|answers?\s+(?:your|the)|meets?\s|clarif|satisf|gives?\s+you|provides?\s+(?:you|a|some)|serves\s+your)"
_IF_MORE = r"if\b[^\n.!]{0,80}(?:question|more|else|further|clarif|anything|unclear|need|want|like|changes|help)"
_ME = (
    rf"(?:ask(?:\s+(?:me|any|more|further|follow|questions|away|about\s+(?:this|the\s+(?:passage|text))|for\s+(?:more|further|any|additional|clarif\w+|changes|another|help\s+with)|{_IF_MORE})|\s*(?:[.!)]|$))"
    rf"|reach\s+out(?:\s+(?:to\s+me|with|for\s+(?:more|further|any)|any|{_IF_MORE})|\s*(?:[.!)]|$))|(?:contact|get\s+in\s+touch\s+with)\s+me\b|let\s+me\b|request\s+(?:more|further|any|changes|another)"
    r"|share\s+(?:more|further|your|any|the\s+(?:text|passage|query|question))|follow\s+up\b)"
)
_CLOSING = re.compile(
    r"[(\[*_~¡¿-]{0,3}(?:"
    rf"(?:i\s+)?hope\s+(?:this|that|it|these|the)(?:\s+\w+){{0,3}}?\s+{_HELPS}"
    r"|(?:i\s+)?hope\s+you\s+(?:find|found|like|enjoy)|i['’]?\s*a?m\s+(?:happy|glad|here)\s+to\s+(?:help|assist|answer|provide)|thank(?:s|\s+you)\s+for\s+(?:your\s+(?:question|query|request)|asking)"
    r"|(?:please\s+|just\s+)?let\s+me\s+know(?:\s+(?:if|whether|when|how|which|in\s+case|should|your|what\s+(?:else|you|other))\b|\s*(?:[.!]|$))"
    rf"|(?:please\s+)?(?:do\s+not|don['’]t)\s+hesitate\s+to\s+{_ME}"
    rf"|(?:please\s+)?feel\s+free\s+to\s+(?:{_ME}|(?:modify|adapt|adjust|edit|use|customi[sz]e)\s+(?:this|it|the\s+(?:passage|text))\b)"
    r"|would\s+you\s+like\s+(?:me|more\s+(?:information|details?|examples?)|any\s+(?:more|further|other|changes|additional)|further|another)\b"
    r"|do\s+you\s+(?:want|need)\s+me\b|shall\s+i\b"
    r"|if\s+you(?:['’]d|['’]ve|\s+have|\s+need|\s+want|\s+would|\s+require)\b[^\n.!?]{0,120}\b(?:let\s+me|feel\s+free|just\s+ask|ask\s+me|i\s+can|i['’]d\s+be|i['’]m)\b"
    r"|is\s+there\s+anything\s+else\b"
    r"|note\s*:\s*(?:this|that\s+this|the\s+(?:above|information|text|passage)|i\b|i['’]ve|as\s+an\s+ai)[^\n]{0,80}\b(?:passage|answer|response|text|information)\b"
    r"|note\s*:[^\n]{0,60}\b(?:this|above)\s+(?:passage|answer|response|text|paragraph)\b"
    r"|word\s+count\s*:|end\s+of\s+(?:passage|answer)\b"
    r"|j['’]espère\s+que\s[^\n]{0,80}\b(?:aide\w*|utiles?|répon\w*|convien\w*|satisf\w*|éclair\w*)"
    r"|n['’]h[ée]site[zs]?\s+(?:surtout\s+)?pas\s+à\s+(?:me\b|m['’]|demander|poser|revenir\s+vers\s+moi|nous)|n['’]h[ée]site[zs]?\s+pas\s+si\s|puis-je\s+(?:vous|t['’])|avez-vous\s+d['’]autres\s+questions"
    r"|(?:faites|fais|dites|dis)(?:-le)?[- ]moi\b|(?:souhaitez|voulez|veux|souhaites)-(?:vous|tu)\s+que\s+je\b|y\s+a-t-il\s+autre\s+chose"
    r"|si\s+(?:vous|tu)\b[^\n.!?]{0,120}(?:\bn['’]hésite\w*\s+pas|\bfaites|\bdites|\bje\s+(?:peux|suis|serai)|\bdemandez)\b"
    r"|ich\s+hoffe\b[^\n]{0,80}\b(?:hilf\w*|helfen|beantwort\w*|nützlich|weiter)"
    r"|lass(?:en\s+sie|t)?\s+(?:es\s+)?mich\s+(?:\w+\s+)?wissen|zögern?\s+(?:sie\s+)?(?:bitte\s+)?nicht,?\s+(?:mich|zu\s+fragen|nachzufragen|sich\s+bei\s+mir)"
    r"|(?:wenn|falls|sollten|solltest)\s+(?:sie|du)\b[^\n.!?]{0,120}(?:\blass\w*|\bsag\w*|\bfrag\w*\s+(?:sie\s+)?(?:mich|gern|einfach)|\bstehe\s+ich|\bhelfe\s+ich|\bkann\s+ich)\b"
    r"|möchte(?:n\s+sie|st\s+du),?\s+dass\s+ich|soll\s+ich\b|gerne?\s+(?:kann|helfe|stehe|erkläre)\s+ich|bei\s+(?:weiteren\s+)?fragen\b[^\n]{0,40}(?:verfügung|meld|wissen|gern)"
    r"|haben\s+sie\s+(?:noch\s+)?(?:weitere\s+)?fragen|hast\s+du\s+(?:noch\s+)?(?:weitere\s+)?fragen|kann\s+ich\s+(?:ihnen|dir)\s+(?:sonst|noch)"
    r"|espero\s+que\s[^\n]{0,80}\b(?:ayud\w*|útil\w*|sirv\w*|satisf\w*|respond\w*|resuelv\w*|ajud\w*)"
    r"|(?:por\s+favor,?\s*)?(?:házmelo|hágamelo|avísame|avíseme|dímelo|dígame|déjame|déjeme|hazme)\s*(?:saber)?\b"
    r"|no\s+dude\w*\s+en\s+(?:pregunt\w*|consultarme|contactarme|pedir\w*|decírmelo|decirme|hac\w+|escribirme|solicitar\w*|avisarme)"
    r"|¿?(?:te|le)\s+gustaría\s+que|¿?quieres?\s+que\b|¿?deseas?\s+que\b|¿?hay\s+algo\s+más|¿?necesitas?\s+(?:algo|más|ayuda\s+con)|¿?tienes?\s+(?:alguna\s+otra|más)\s+pregunta"
    r"|si\s+(?:tienes?|necesitas?|quieres?|deseas?|hay)\b[^\n.!?]{0,120}(?:\bdímelo|\bdime|\bavísame|\bpuedo|\bno\s+dud|\bházmelo|\bhágamelo|\best(?:oy|aré)|\bpregunt|\bcon\s+gusto)"
    r"|spero\s+che\s[^\n]{0,80}\b(?:util\w*|aiut\w*)|fammi\s+sapere|mi\s+faccia\s+sapere|me\s+avise"
    r"|希望(?:这|這|以上|上述|本|我的|能|对[您你])[^\n。！]{0,40}(?:帮助|幫助|有用|满足|满意|解答|回答)"
    r"|(?:如果|若|要是)[您你]?(?:还|还有|仍|需要|有|想|对|還)[^\n。！]{0,80}(?:告诉我|告訴我|联系我|问我|提问|随时|隨時|告知|我可以|我很乐意|欢迎)"
    r"|(?:请|請|欢迎|敬请)(?:您|你)?(?:随时|隨時)[^\n。！]{0,30}(?:问|联系|告|提)|(?:请|請)(?:告诉我|告訴我|让我知道|讓我知道|告知我)|(?:是否|要不要|[您你])?(?:需要|想要|要)我[^\n。]{0,40}(?:吗|？|\?)"
    r"|如有(?:任何|其他|疑问|问题|需要)[^\n。！]{0,40}(?:请|随时|欢迎|告诉|联系)"
    r")",
    re.I,
)
_UNABLE = re.compile(r"\b(?:can\s*not|can['’]?t|unable|not\s+able)\b", re.I)  # a refusal, however kind
_RIDER = re.compile(
    r"[(\[*_~-]{0,3}(?:[a-z]|thank|thanks|happy|good\s+luck|have\s+a|enjoy|best|for\s+example|merci|bonne|danke|viel\s+erfolg|gracias|saludos|谢谢|祝)|[^\n]{0,60}[!！]$"
)
_SPEAKS = re.compile(r"\b(?:i|me|my|you|your|je|vous|ich|ihnen|yo)\b|[我您你]", re.I)
_SENTENCE = re.compile(r"(?<=[.!?…)\"”»*\]])\s+|(?<=[。！？])[”」]?\s*|\n\s*")
_WIDE = re.compile(r"\s{50}")


def without_opening(text: str) -> str:
    """Take off what comes before the text: a role's name, an echo of the prompt, an announcement, a label."""
    echo = _ECHO.match(text)
    if echo and not (_ANSWERED.search(text, 0, echo.end()) and _is_faq(text)):
        text = text[echo.end() :]
    for opening in (_OWN_ROLE, _OPENING, _OPENING_ELSEWHERE, _OPENING_CHINESE, _EXCLAMATION, _LABEL):
        text = opening.sub("", text, count=1)
    return text


def without_echo(text: str, prompt: str) -> str:
    """Take off the prompt, or its last lines, where a text begins by repeating it."""
    lines = [" ".join(line.split()) for line in prompt.strip().split("\n")]
    for first in range(len(lines) if len(lines) <= 40 else 1):
        wanted = "\n".join(line for line in lines[first:] if line)
        if len(wanted) >= 20 and (end := _end_of(text, wanted)):
            return text[end:]
    return text


def _end_of(text: str, wanted: str) -> int:
    """Return where a beginning ends that equals `wanted` but for white space; 0 where the text begins otherwise."""
    position = 0
    for word in wanted.split():
        while text[position : position + 1].isspace():
            position += 1
        if not text.startswith(word, position):
            return 0
        position += len(word)
    return position


def without_next(text: str) -> str:
    """Take off a further query, and the passage to it, that the model went on to write; questions of an FAQ stay."""
    for turn in _TURN.finditer(text):
        if "\n" in turn[1]:
            text = text[: turn.start()]
            break
    faq: bool | None = None
    for asked in _ASKED.finditer(text):
        start, end = text.find("\n", *asked.span(1)), text.find("\n", asked.end())
        if start < 0:
            continue
        marked = end >= 0 and _TOLD.match(text, end)
        if not marked and (end < 0 or _ANSWERED.match(text, end)):
            faq = _is_faq(text) if faq is None else faq
            marked = None if faq else asked
        if marked:
            return _INSTRUCTED.sub("", text[:start])
    return text


def _is_faq(text: str) -> bool:
    """Return whether a text asks and answers several questions by itself."""
    first = _QUESTION.search(text)
    if first is None:
        return False
    if _FAQ.search(text, 0, max(300, first.start())):
        return True
    several = len(_QUESTION.findall(text)) > 1
    return several if first.start() == 0 else several and first.start() < 200 and len(_ANSWERED.findall(text)) > 1


def without_closing(text: str) -> str:
    """Take off the sentences at the end that speak to the user."""
    text = text.rstrip()
    first = _closing_from(text)
    starts = [first] * (first == 0) + [m.end() for m in _SENTENCE.finditer(text, first) if m.end() < len(text)]
    whole, cut, riders, swallowed = text, len(text), 0, 0
    for start in reversed(starts):
        sentence = text[start:cut].split("\n", 1)[0].rstrip()
        if _CLOSING.match(sentence) and not _OTHERS.search(sentence) and not _UNABLE.search(sentence):
            cut, swallowed, riders = start, swallowed + riders, 0
            text = text[:cut]
        elif riders < 4 and len(sentence) <= 160 and (_RIDER.match(sentence) or _SPEAKS.search(sentence)):
            riders += 1
        else:
            break
    return text.rstrip() if cut or not swallowed else whole  # a text may begin with thanks and then refuse


def _closing_from(text: str) -> int:
    """Return a place before which no closing begins: one has less than a thousand characters, but for its white space."""
    begin = max(0, len(text) - 2000)
    return 0 if _WIDE.search(text, begin) else begin
