"""Refusals and passages that look like them, in five languages."""

from __future__ import annotations

import pytest

from expandr_repro.llm.answers.cleaning import clean
from expandr_repro.llm.answers.refusals import is_refusal

PASSAGE = (
    "Vitamin D is made in the skin under sunlight and helps the gut take up calcium. Adults with low levels lose bone mass, and children develop rickets, "
    "a softening of the bones that was common in cities without sun. Fatty fish, egg yolk and fortified milk are the main sources in food."
)

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I cannot assist with that request.",
    "I'm sorry, I can't assist with that.",
    "Sorry, I can't provide that information.",
    "Sorry, but I can't do that.",
    "I cannot provide medical advice.",
    "I can't fulfill this request.",
    "I cannot fulfil your request.",
    "I can't comply with that request.",
    "I am unable to write a passage on this topic.",
    "I'm unable to help with that.",
    "I am not able to assist with this request.",
    "I apologize, but I do not have enough information to answer.",
    "I apologize, but I cannot write a passage that supports this claim.",
    "As an AI language model, I don't have personal opinions.",
    "As an AI language model, I cannot access real-time information.",
    "As an AI, I can't provide legal advice. Please consult a lawyer.",
    "As a large language model, I am not able to browse the internet.",
    "As an AI assistant, I must decline to answer this question.",
    "I don't have enough information to write this passage.",
    "I do not have access to the document you mention.",
    "Unfortunately, I am not able to answer this question.",
    "Unfortunately, I cannot provide a passage for this query.",
    "I won't write that.",
    "I will not generate this content.",
    "I must decline to write this passage.",
    "I have to decline this request.",
    "I refuse to answer this question.",
    "I cannot create content that promotes violence.",
    "I can't create that kind of content.",
    "I cannot generate a passage about this topic because it could cause harm.",
    "I can't write an essay that denies the Holocaust.",
    "I cannot answer this question.",
    "I can't answer that.",
    "I cannot engage in discussions of this topic.",
    "I can't discuss that topic.",
    "I cannot support or refute this claim.",
    "I cannot verify this claim.",
    "I could not find any information about this topic.",
    "I couldn't find relevant information on this query.",
    "I'm not familiar with this term. Could you provide more context?",
    "I don't know.",
    "I don't know the answer to this question.",
    "I'm not sure what you are asking. Please clarify your question.",
    "Unable to help with that request.",
    "Cannot assist with that.",
    "Unable to provide a passage.",
    "This request violates our content policy.",
    "Your request cannot be completed.",
    "That's not something I can help with.",
    "I'm afraid I can't help you with that.",
    "I regret that I cannot provide this information.",
    "My apologies, but I am unable to answer this query.",
    "I'm really sorry that you're feeling this way, but I'm unable to provide the help that you need. It's really important to talk things over with someone who can, though.",
    "I'm sorry, but I can't help with that. If you are struggling, please reach out to a helpline.",
    "I'm sorry, but I can't provide instructions for making explosives. Such devices are illegal and dangerous. If you have concerns about safety, please contact the police.",
    "I understand that you are looking for information, but I can't provide that.",
    "Thank you for your question. However, I am unable to give medical advice.",
    "I cannot provide financial advice. However, I can offer general information if you like.",
    "I'm sorry, but as an AI language model I can't express opinions on political topics.",
    "I'm not able to provide a diagnosis. Please see a doctor.",
    "I'm not comfortable writing about this topic.",
    "I do not feel comfortable answering this question.",
    "I can’t help with this.",
    "I'm sorry, this request goes against my guidelines.",
    "I'd prefer not to write that.",
    # Chinese
    "抱歉，我无法提供该信息。",
    "对不起，我不能回答这个问题。",
    "很抱歉，我无法协助您完成这个请求。",
    "我无法满足您的请求。",
    "作为一个AI语言模型，我没有个人观点。",
    "作为人工智能助手，我不能提供医疗建议。",
    "我不能写这样的内容，因为它违反了规定，无法生成。",
    "抱歉，我不能帮助您处理这个问题。请咨询专业医生。",
    "無法提供您要求的內容。",
    "我没有足够的信息来回答这个问题。",
    # French
    "Je suis désolé, mais je ne peux pas vous aider avec cela.",
    "Désolé, je ne peux pas répondre à cette question.",
    "Je ne peux pas fournir de conseils médicaux.",
    "Je ne suis pas en mesure de répondre à cette demande.",
    "En tant que modèle de langage, je n'ai pas d'opinions personnelles.",
    "En tant qu'IA, je ne peux pas accéder à ces informations.",
    "Il m'est impossible de répondre à cette question.",
    "Je n'ai pas suffisamment d'informations pour rédiger ce passage.",
    "Malheureusement, je ne peux pas écrire ce texte.",
    # German
    "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
    "Entschuldigung, ich kann diese Frage nicht beantworten.",
    "Leider kann ich diese Anfrage nicht erfüllen.",
    "Ich kann keine medizinischen Ratschläge geben.",
    "Ich bin nicht in der Lage, diese Anfrage zu beantworten.",
    "Als KI-Sprachmodell habe ich keine persönliche Meinung, und ich kann dazu nichts sagen.",
    "Als Sprachmodell kann ich darauf nicht antworten.",
    "Ich habe keinen Zugriff auf aktuelle Informationen.",
    "Tut mir leid, das kann ich nicht machen.",
    # Spanish
    "Lo siento, pero no puedo ayudarte con eso.",
    "Lo siento, no puedo responder a esa pregunta.",
    "No puedo proporcionar asesoramiento médico.",
    "No me es posible responder a esta solicitud.",
    "Como modelo de lenguaje, no tengo opiniones personales.",
    "Como IA, no puedo acceder a esa información.",
    "Lamentablemente, no puedo escribir ese texto.",
    "No tengo suficiente información para responder.",
    "Lo lamento, no puedo cumplir con esta petición.",
]

PASSAGES = [
    PASSAGE,
    "As a large mammal, the elephant needs more than a hundred litres of water a day.",
    "As an artificial sweetener, aspartame is about 200 times sweeter than sugar.",
    "Unable to produce enough insulin, people with type 1 diabetes inject it every day.",
    "I cannot support a ban on assault weapons.",
    "I cannot support a ban on smoking in public places, since adults should be free to choose what they do.",
    f"I cannot verify this claim. {PASSAGE}",
    f"I'm not able to verify this, but here is what is known. {PASSAGE}",
    f"As an AI language model, I don't have personal opinions. {PASSAGE}",
    f"I cannot provide medical advice. {PASSAGE} {PASSAGE}",
    "Unable to answer the question of gravity's cause, Newton wrote that he framed no hypotheses.",
    "Unable to provide food for its people, the government imported grain.",
    "Unable to find any evidence of the ether, Michelson and Morley published a null result.",
    "Not able to fly, penguins swim with their wings.",
    "I cannot sleep without the window open, he wrote; the cold air helps.",
    "I can't help but wonder why the bees have disappeared from our gardens.",
    "I can't help thinking that the reform has failed.",
    "I Can't Help Myself (Sugar Pie, Honey Bunch) is a 1965 song by the Four Tops.",
    "I'm Sorry, I Haven't a Clue is a BBC radio comedy panel game.",
    "Sorry, I Can't Dance is a single of 1991.",
    "Can't Help Falling in Love is a song recorded by Elvis Presley in 1961.",
    "We are sorry to see coral reefs decline: warming water is the cause.",
    "I apologize, the prime minister said on Monday, for the harm that was done.",
    "As an AI researcher, Geoffrey Hinton worked on neural networks for four decades.",
    "As an AI company, OpenAI released its first model in 2018.",
    "As an AI language model, GPT-4 was trained to predict the next token of a document.",
    "As an artificial intelligence, HAL 9000 controls the systems of the ship.",
    "As an assistant professor, she taught statistics at Stanford.",
    "As an artificial heart, the device pumps blood while the patient waits for a donor.",
    "Being an artificial fibre, nylon does not rot.",
    "As a language isolate, Basque is not related to any other living language.",
    "I won't go back to Iraq, a veteran told the committee; the war had taken his leg.",
    "I do not have any doubt that vaccination saves lives.",
    "I don't have health insurance, like eight percent of Americans.",
    "I will not eat meat again: animals suffer in factory farms.",
    "I could not agree more with the motion that school should start later.",
    "I refuse to accept that poverty is inevitable, since its causes are political.",
    "I decline to name the winner, wrote the critic, but the novel deserves a prize.",
    "I am unable to bear children, a woman with endometriosis may be told, though treatment can help.",
    "I can't breathe were the last words of Eric Garner.",
    "I cannot tell a lie is a line attributed to George Washington.",
    "Sorry is a card game of the 1930s, published by Parker Brothers.",
    "Sorry, Wrong Number is a 1948 film noir.",
    "Unfortunately, antibiotics do not help against viruses, and their misuse breeds resistance.",
    "Unfortunately, the drug could not provide relief to patients with advanced disease.",
    "Unfortunately, there is no cure for Alzheimer's disease; treatment eases the symptoms.",
    "The committee said that it could not answer the question, for the data were missing.",
    "Scientists cannot provide an answer to what came before the Big Bang.",
    "Doctors are unable to provide a diagnosis in a third of the cases.",
    "A lawyer must not give advice that breaks the law.",
    "Chatbots often say: I'm sorry, but I can't help with that. Such refusals are trained with human feedback, and researchers measure how often harmless questions are refused.",
    "Patients who say \"I don't know\" to a question on dates may have dementia.",
    "I have no mouth and I must scream is a story by Harlan Ellison, published in 1967.",
    "No.",
    "No, the claim is false: zinc does not cure the common cold.",
    "This question cannot be answered by experiment alone, as Popper argued in 1934; a theory has to be stated first.",
    "We could not find evidence that statins cause breast cancer in a trial of 20,000 women.",
    "We cannot confirm the hypothesis that vitamin D prevents falls: the difference between the groups was not significant.",
    "We are unable to reject the null hypothesis at the 5 % level in this sample of 300 patients.",
    "It is not possible to provide enough dialysis for all patients in low-income countries.",
    "My apologies to readers of the earlier column: the rate was 3 percent, not 13, and the tax falls on income above 50,000 dollars.",
    "If I cannot help my neighbour, I have failed, said the abbot.",
    "I think that animals should not be kept in zoos, because they cannot consent.",
    "Help with that request came from the navy, which sent two ships.",
    "Cannot is written as one word in English.",
    "Don't know much about history? The Magna Carta was sealed in 1215.",
    # Chinese
    "作为一种人工甜味剂，阿斯巴甜比蔗糖甜约200倍。",
    "作为人工智能领域的先驱，图灵提出了图灵测试。",
    "由于无法产生足够的胰岛素，1型糖尿病患者需要每天注射胰岛素。",
    "我不能支持禁止枪支的法案，因为公民有权自卫。",
    "我无法忍受寒冷，他写道，于是搬到了南方。",
    "抱歉文化在日本很普遍，人们常常为小事道歉。",
    # French
    "En tant qu'édulcorant artificiel, l'aspartame est 200 fois plus sucré que le sucre.",
    "En tant que modèle de ville durable, Fribourg attire des urbanistes du monde entier.",
    "Je ne peux pas soutenir une interdiction des armes à feu, car les citoyens ont le droit de se défendre.",
    "Incapables de produire assez d'insuline, les diabétiques de type 1 doivent s'en injecter.",
    "Je ne peux pas vivre sans toi est une chanson des années 1970.",
    "Désolé, dit-il, et il quitta la salle sans se retourner.",
    # German
    "Als künstlicher Süßstoff ist Aspartam etwa 200-mal süßer als Zucker.",
    "Unfähig, genug Insulin zu produzieren, müssen Menschen mit Typ-1-Diabetes spritzen.",
    "Ich kann ein Verbot von Waffen nicht unterstützen, denn Bürger dürfen sich verteidigen.",
    "Leider kann ich nicht schlafen, schrieb Kafka in sein Tagebuch.",
    "Als Sprachmodell bezeichnet man ein statistisches Modell von Wortfolgen.",
    "Leider hilft das Medikament nicht gegen Viren.",
    # Spanish
    "Como edulcorante artificial, el aspartamo es unas 200 veces más dulce que el azúcar.",
    "No puedo apoyar una prohibición de las armas, porque los ciudadanos tienen derecho a defenderse.",
    "Incapaces de producir suficiente insulina, las personas con diabetes tipo 1 se la inyectan.",
    "Como modelo de lenguaje, GPT-4 predice la palabra siguiente.",
    "No puedo vivir sin ti es una canción de Los Ronaldos.",
    "Lo siento mucho es una expresión de condolencia en español.",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_one(text):
    assert clean(text).refused


@pytest.mark.parametrize("text", PASSAGES)
def test_a_passage_is_no_refusal(text):
    assert not clean(text).refused
    assert clean(text).text == text


@pytest.mark.parametrize("text", REFUSALS[:60])
def test_a_refusal_that_a_passage_follows_is_a_passage(text):
    if text.startswith(("As a", "I cannot verify", "I could not find", "I don't have")):
        assert not is_refusal(f"{text} {PASSAGE}")


@pytest.mark.parametrize(
    "text",
    [
        "I cannot confirm this statement. However, aspirin inhibits COX-1 and thereby reduces platelet aggregation, as shown in several trials.",
        "I can't verify that claim. If serum potassium falls below 3.5 mmol/L, hypokalemia is present and arrhythmia may follow.",
        "I cannot verify this. Instead, trials show that statins lower LDL cholesterol by 30 to 50 percent in most patients.",
    ],
)
def test_a_passage_that_goes_on_with_however_is_a_passage(text):
    assert not is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I cannot verify this claim. However, I can help with other questions.",
        "I cannot write this passage. Instead, consider asking a doctor.",
        "I'm sorry, but I can't assist with that. If there is anything else, let me know.",
    ],
)
def test_talk_to_the_user_after_however_is_no_passage(text):
    assert is_refusal(text)
