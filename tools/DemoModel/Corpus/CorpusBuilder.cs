using System.Text;

namespace MLFramework.DemoModel.Corpus;

/// <summary>
/// How often each kind of document and question occurs: cumulative percentages, in the order in which the builder tests them.
/// A relation is asked in proportion to the root of its size, within the given limits.
/// </summary>
internal sealed record Mixture(
    int Chats, int Countries, int Statements, int Questions, int NumberTexts, int Glossaries, int Sequences,
    int Relations, int Singles, int Serving, int SmallTalk, int Numbers, int NumberLines, double LeastMass, double MostMass)
{
    /// <summary>The first phase of training: the facts.</summary>
    public static readonly Mixture First = new(60, 68, 79, 84, 88, 90, 91, 53, 59, 68, 72, 89, 9, 0, 1000);

    /// <summary>The second phase: more numbers, and a closer look at the small tables.</summary>
    public static readonly Mixture Second = new(62, 65, 72, 77, 91, 93, 94, 46, 50, 57, 60, 92, 18, 7, 30);
}

/// <summary>Mixes facts, sums, topics and stories into plain documents and ChatML chats, all from one seed.</summary>
internal sealed class CorpusBuilder(int seed, Mixture mixture)
{
    private readonly Random _random = new(seed);
    private readonly double _relationMass = Facts.Relations.Sum(r => Mass(r, mixture));

    private static readonly string[] SystemPrompts =
    [
        "You are a helpful assistant.", "You are a helpful assistant.", "You are a helpful assistant.", "You are a friendly assistant.", "You are a small and friendly assistant.",
        "You are the demo model of MLFramework.", "Answer briefly.", "You are a helpful assistant. Answer in one sentence.", "Be kind and clear.", "You are a helpful AI assistant.",
    ];

    private static readonly string[] Prefixes = ["Please tell me: ", "Quick question: ", "Hi! ", "Hello! ", "Hello, ", "I have a question. ", "Hey, ", "One more question: ", "Please answer: ", "So, ", "OK. "];
    private static readonly string[] FollowUps = ["What about {s}?", "And {s}?", "And what about {s}?", "How about {s}?", "Now {s}.", "And for {s}?"];
    private static readonly string[] FollowUpRelations = ["capital", "continent", "language", "opposite", "colour", "plural"];

    /// <summary>The next document.</summary>
    public string Next()
    {
        int kind = _random.Next(100);
        return kind < mixture.Chats ? Chat()
            : kind < mixture.Countries ? CountryText()
            : kind < mixture.Statements ? Statements()
            : kind < mixture.Questions ? QuestionsAndAnswers()
            : kind < mixture.NumberTexts ? NumberText()
            : kind < mixture.Glossaries ? GlossaryText()
            : kind < mixture.Sequences ? Sequences()
            : Stories.Write(_random, Stories.Choose(_random));
    }

    public static string Format(IEnumerable<(string Role, string Content)> messages)
    {
        var text = new StringBuilder();
        foreach ((string role, string content) in messages) text.Append($"<|im_start|>{role}\n{content}<|im_end|>\n");
        return text.ToString();
    }

    /// <summary>The chat prompt of one question, ready for the assistant's answer.</summary>
    public static string Prompt(string question, string? system = null) =>
        (system is null ? "" : Format([("system", system)])) + Format([("user", question)]) + "<|im_start|>assistant\n";

    private string Chat()
    {
        List<(string, string)> messages = [];
        if (_random.Next(100) < 55) messages.Add(("system", Pick(SystemPrompts)));
        int turns = _random.Next(10) switch { < 4 => 1, < 7 => 2, < 9 => 3, _ => 5 };
        Told? told = _random.Next(10) == 0 ? Told.Draw(_random) : null;
        if (told is not null)
        {
            AddTurn(messages, (told.Statement, told.Reply));
            turns = _random.Next(3);
        }
        else if (_random.Next(12) == 0) AddTurn(messages, Small("Hello"));
        for (int turn = 0; turn < turns; turn++)
        {
            if (_random.Next(100) < 8)
            {
                AddTurn(messages, Stories.Request(_random));
                if (turns > 3) break;         // a story is long; keep the chat inside the context
                continue;
            }
            if (_random.Next(100) < 12 && turn + 1 < turns) { AddFollowUps(messages); continue; }
            AddTurn(messages, Item());
        }
        if (told is not null && _random.Next(5) > 0) AddTurn(messages, (told.Question, told.Answer));
        if (_random.Next(12) == 0) AddTurn(messages, Small(_random.Next(3) == 0 ? "Goodbye" : "welcome"));
        return Format(messages);
    }

    private (string Question, string Answer) Small(string key)
    {
        Topic topic = Topics.SmallTalk.First(t => t.Key == key);
        return (topic.Questions[_random.Next(topic.Questions.Length - topic.HeldOut)], topic.Answer);
    }

    private void AddTurn(List<(string, string)> messages, (string Question, string Answer) turn)
    {
        messages.Add(("user", Noise(turn.Question)));
        messages.Add(("assistant", turn.Answer));
    }

    /// <summary>"What is the capital of France?" ... "And Spain?"</summary>
    private void AddFollowUps(List<(string, string)> messages)
    {
        string name = Pick(FollowUpRelations);
        Relation relation = Facts.Relations.First(r => r.Name == name);
        (string question, string answer, _) = Ask(relation);
        AddTurn(messages, (question, answer));
        for (int i = _random.Next(1, 3); i > 0; i--)
        {
            (string, string) row = Pick(relation.Rows);
            messages.Add(("user", Facts.Fill(Pick(FollowUps), row)));
            messages.Add(("assistant", Facts.Fill(relation.Answers[0], row)));
        }
    }

    /// <summary>A question and its answer, from all that the model should know or admit not to know.</summary>
    private (string Question, string Answer) Item()
    {
        int kind = _random.Next(100);
        if (kind < mixture.Relations) return AskAny();
        if (kind < mixture.Singles)
        {
            var single = Facts.Singles[_random.Next(Facts.Singles.Count)];
            return (single.Question, single.Answer);
        }
        if (kind < mixture.Serving) return ToPair(Topics.Serving);
        if (kind < mixture.SmallTalk) return ToPair(Topics.SmallTalk);
        if (kind >= mixture.Numbers) return (UnknownQuestion(_random), Topics.Unknown);
        if (_random.Next(12) == 0)
        {
            var story = Sums.Story(_random);
            return (story.Question, story.Answer);
        }
        if (_random.Next(14) == 0) return (Sums.TooLargeQuestion(_random), Topics.TooLarge);
        var sum = Sums.Draw(_random, Sums.DrawKind(_random), heldOutPhrasing: false, withheld: false);
        return (sum.Question, sum.Answer);
    }

    public static string UnknownQuestion(Random random)
    {
        switch (random.Next(10))
        {
            case < 5: return Topics.UnknownQuestions[random.Next(Topics.UnknownQuestions.Length - Topics.HeldOutUnknown)];
            case < 8:
                string x = Topics.Invent(random);
                return Topics.InventedQuestions[random.Next(Topics.InventedQuestions.Length)].Replace("{x}", x).Replace("{X}", Facts.Capital(x));
            default:
                string country = Facts.Countries[random.Next(Facts.Countries.Count)].Name;
                return Topics.CountryUnknowns[random.Next(Topics.CountryUnknowns.Length)].Replace("{s}", country);
        }
    }

    private (string, string) ToPair(IReadOnlyList<Topic> topics)
    {
        Topic topic = topics[_random.Next(topics.Count)];
        return (topic.Questions[_random.Next(topic.Questions.Length - topic.HeldOut)], topic.Answer);
    }

    private static double Mass(Relation relation, Mixture mixture) =>
        Math.Clamp(relation.Weight * Math.Sqrt(relation.Rows.Length), mixture.LeastMass, mixture.MostMass);

    private (string, string) AskAny()
    {
        (string question, string answer, _) = Ask(AnyRelation());
        return (question, answer);
    }

    private Relation AnyRelation()
    {
        double at = _random.NextDouble() * _relationMass;
        foreach (Relation relation in Facts.Relations)
            if ((at -= Mass(relation, mixture)) < 0) return relation;
        return Facts.Relations[0];
    }

    private (string Question, string Answer, int Row) Ask(Relation relation)
    {
        while (true)
        {
            int row = _random.Next(relation.Rows.Length), phrasing = _random.Next(relation.Questions.Length);
            if (Withheld.Is(relation.Name, phrasing, row)) continue;
            return (Facts.Fill(relation.Questions[phrasing], relation.Rows[row]), Facts.Fill(relation.Answers[0], relation.Rows[row]), row);
        }
    }

    /// <summary>People do not always write tidy questions.</summary>
    private string Noise(string question)
    {
        int kind = _random.Next(100);
        if (kind < 8 && !question.EndsWith('!'))
        {
            string prefix = Pick(Prefixes);
            return prefix + (prefix.EndsWith(", ") && !question.StartsWith("I ") ? char.ToLowerInvariant(question[0]) + question[1..] : question);
        }
        if (kind < 12) return char.ToLowerInvariant(question[0]) + question[1..];
        if (kind < 16) return question.TrimEnd('?', '.', '!');
        if (kind < 18) return char.ToLowerInvariant(question[0]) + question[1..].TrimEnd('?', '.', '!');
        if (kind < 20 && question.EndsWith('?')) return question + " Please tell me.";
        if (kind < 22 && question.EndsWith('?')) return question[..^1] + ", please?";
        if (kind < 26) return question.ToLowerInvariant();
        if (kind < 28) return question.ToLowerInvariant().TrimEnd('?', '.', '!');
        return question;
    }

    private string CountryText()
    {
        var c = Facts.Countries[_random.Next(Facts.Countries.Count)];
        string s = c.Name, name = Facts.Capital(s);
        return _random.Next(6) switch
        {
            0 => $"{name} is a country in {c.Continent}. Its capital is {c.Capital}. People in {s} speak {c.Language}.",
            1 => $"The capital of {s} is {c.Capital}. The main language of {s} is {c.Language}.",
            2 => $"{c.Capital} is the capital of {s}. {name} is in {c.Continent}, and people there speak {c.Language}.",
            3 => $"The capital of {s} is {c.Capital}. {name} is a country in {c.Continent}.",
            4 => $"{name}\nCapital: {c.Capital}\nContinent: {c.Continent}\nLanguage: {c.Language}\n",
            _ => $"The capital of {s} is {c.Capital}.",
        };
    }

    private string Statements()
    {
        Relation relation = AnyRelation();
        bool mixed = _random.Next(3) == 0;
        List<string> lines = [];
        for (int i = _random.Next(1, 7); i > 0; i--)
        {
            if (mixed) relation = AnyRelation();
            lines.Add(Facts.Fill(relation.Name == "number" ? "How many {s}? {O}." : Pick(relation.Answers), Pick(relation.Rows)));
        }
        return string.Join(_random.Next(3) == 0 ? "\n" : " ", lines);
    }

    private string QuestionsAndAnswers()
    {
        (string q, string a) = _random.Next(3) switch { 0 => ("Q: ", "A: "), 1 => ("Question: ", "Answer: "), _ => ("", "") };
        return string.Join('\n', Enumerable.Range(0, _random.Next(1, 5)).Select(_ => { (string question, string answer) = Item(); return $"{q}{question}\n{a}{answer}"; }));
    }

    private string NumberText()
    {
        Sums.Kind kind = Sums.Kinds[_random.Next(3)];
        bool tight = _random.Next(4) == 0;
        if (_random.Next(4) == 0) { int from = _random.Next(3) == 0 ? _random.Next(60) : 1; return Sums.Count(from, from + _random.Next(5, 25)); }
        return string.Join('\n', Enumerable.Range(0, _random.Next(1, mixture.NumberLines)).Select(_ =>
        {
            string line = Sums.Draw(_random, kind, false, false).Answer.TrimEnd('.');
            return tight ? line.Replace(" ", "") : line;
        }));
    }

    private string GlossaryText() => _random.Next(3) == 0
        ? string.Join('\n', Enumerable.Range(0, _random.Next(2, 4)).Select(_ => { var g = Pick(Topics.Glossary); return $"{Facts.Capital(g.Plain)}: {g.Definition}"; }))
        : string.Join(' ', Enumerable.Range(0, _random.Next(1, 4)).Select(_ => Topics.Serving[_random.Next(Topics.Serving.Count)].Answer));

    private string Sequences() => _random.Next(3) switch
    {
        0 => "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday",
        1 => string.Join(", ", Facts.Months),
        _ => string.Join(", ", Enumerable.Range('A', 26).Select(c => (char)c)),
    };

    private T Pick<T>(T[] from) => from[_random.Next(from.Length)];
}
